// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The process may open no more files. Who is there is served as before, who comes waits, the log
/// says why, and not as fast as it can, and all is well once something is closed.
@Timeout(120)
final class DescriptorsTest {
  private static final int SIZE_BYTES = 16 << 20;
  private static final int BLOCK_BYTES = 64 << 10;
  private static final String EXHAUSTED = "Too many open files";

  /// Descriptors that the process may still open when it is being exhausted.
  private static final int ROOM = 4;

  /// Descriptors are not numbered without gaps, and it is the numbers that are limited.
  private static final int CLIENTS = 40;

  @TempDir private Path directory;
  private final List<SocketChannel> waiting = new ArrayList<>();
  private byte[] old = new byte[0];

  @BeforeEach
  void prepare() throws IOException {
    old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 23);
  }

  @AfterEach
  void closeAll() throws IOException {
    for (SocketChannel socket : waiting) {
      socket.close();
    }
  }

  @Test
  void clientsThatAreThereAreServedAndOthersWaitUntilThereIsRoom() throws Exception {
    try (PackagedServer server = server();
        ControlSocket control = server.control();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      try (NbdClient backup = server.connect("vda@nightly")) {
        exhaust(server);
        for (int offset = 0; offset < SIZE_BYTES; offset += BLOCK_BYTES) {
          Images.write(guest, offset, Images.filled(BLOCK_BYTES, 0xee));
        }
        Images.await(guest.flush());
        assertArrayEquals(old, Images.read(backup, 0, SIZE_BYTES));
        JsonNode disk = control.execute("x-nbdfleece-query-disks", ControlSocket.object()).get(0);
        assertEquals(0, disk.path("write-errors").asInt(), disk::toString);
      }
      assertFewLines(server);
      closeAll();
      try (NbdClient late = server.connect("vda")) {
        assertArrayEquals(new byte[] {(byte) 0xee}, Images.read(late, 0, 1));
      }
      server.release("nightly");
    }
  }

  @Test
  void controlSocketWaitsForRoomToo() throws Exception {
    try (PackagedServer server = server();
        NbdClient guest = server.connect("vda")) {
      exhaust(server);
      waiting.add(SocketChannel.open(UnixDomainSocketAddress.of(server.controlPath())));
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> server.log().contains("control socket: cannot accept"));
      // Long enough for a loop without pauses to fill a disk with its lines.
      Pause.of(Duration.ofSeconds(2));
      assertFewLines(server);
      Images.write(guest, 0, Images.filled(4096, 1));
      closeAll();
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .ignoreExceptions()
          .until(() -> server.disk().path("write-errors").asInt() == 0);
    }
  }

  @Test
  void checkpointThatCannotBeKeptIsRefusedAndTheChainGoesOn() throws Exception {
    try (PackagedServer server = server("--state", directory.resolve("state").toString());
        ControlSocket control = server.control();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = backUp(control, "c1", "");
      Images.write(guest, 0, Images.filled(BLOCK_BYTES, 0xee));
      exhaust(server);
      IOException refusal = assertThrows(IOException.class, () -> backUp(control, "c2", "c1"));
      assertTrue(String.valueOf(refusal.getMessage()).contains(EXHAUSTED), refusal::toString);
      Images.write(guest, 2 * BLOCK_BYTES, Images.filled(BLOCK_BYTES, 0xee));
      closeAll();
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> server.figures().descriptors() <= limit(server) - ROOM);
      JsonNode backup = backUp(control, "c2", "c1");
      assertEquals(
          2 * BLOCK_BYTES,
          backup.path("disks").get(0).path("dirty-bytes").asInt(),
          backup::toString);
      assertFalse(server.log().contains("inconsistent"), server.log());
    }
  }

  private PackagedServer server(String... options) throws IOException {
    return PackagedServer.in(directory)
        .disk("vda", directory.resolve("vda.img"))
        .with("--ram", "1M")
        .with(options)
        .start();
  }

  /// Takes all that the process may still open, and one more.
  private void exhaust(PackagedServer server) throws IOException {
    int limit = server.figures().descriptors() + ROOM;
    Command.Result _ =
        Command.run(
                Peer.PRLIMIT.path(),
                "--pid",
                Long.toString(server.pid()),
                "--nofile=" + limit + ":" + limit)
            .succeeds();
    for (int i = 0; i < CLIENTS; i++) {
      waiting.add(SocketChannel.open(UnixDomainSocketAddress.of(server.socket())));
    }
    Awaitility.await().atMost(Duration.ofSeconds(30)).until(() -> server.log().contains(EXHAUSTED));
  }

  private static int limit(PackagedServer server) throws IOException {
    String soft =
        Command.run(
                Peer.PRLIMIT.path(),
                "--pid",
                Long.toString(server.pid()),
                "--nofile",
                "--output",
                "SOFT",
                "--noheadings")
            .succeeds()
            .out();
    return Integer.parseInt(soft.strip());
  }

  private static void assertFewLines(PackagedServer server) throws IOException {
    String log = server.log();
    int lines = log.split(EXHAUSTED, -1).length - 1;
    assertTrue(lines <= 40, () -> lines + " lines:\n" + log);
  }

  /// Returns the snapshot as it was taken.
  private static JsonNode backUp(ControlSocket control, String checkpoint, String since)
      throws IOException {
    ObjectNode arguments =
        ControlSocket.object().put("name", "to-" + checkpoint).put("checkpoint", checkpoint);
    if (!since.isEmpty()) {
      arguments.put("since", since);
    }
    JsonNode taken = control.execute("fleecing-start", arguments);
    JsonNode _ =
        control.execute(
            "fleecing-stop",
            ControlSocket.object().put("name", "to-" + checkpoint).put("success", true));
    return taken;
  }
}
