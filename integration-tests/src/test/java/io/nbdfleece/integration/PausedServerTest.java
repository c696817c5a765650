// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// SIGSTOP and SIGCONT: the process stands still, and the clock goes on. Limits of time count what
/// the clock says, and nothing breaks that was not waiting.
@Timeout(180)
final class PausedServerTest {
  private static final int SIZE_BYTES = 32 << 20;
  private static final int BLOCK_BYTES = 64 << 10;

  private final long seed = Long.getLong("test.seed", System.nanoTime());

  @TempDir private Path directory;

  @Test
  void backupGoesOnAfterAPauseInTheMiddleOfItAndShowsOneInstant() throws Exception {
    System.out.println("PausedServerTest: test.seed=" + seed);
    Path image = Images.sparse(directory.resolve("vda.img"), SIZE_BYTES);
    try (PackagedServer server =
            PackagedServer.in(directory).disk("vda", image).with("--ram", "2M").start();
        StampLoad load = StampLoad.start(server, List.of("vda"), 2, seed)) {
      load.awaitWrites(1000);
      long beforeNanos = System.nanoTime();
      start(server, "nightly", "idle-ttl", 2);
      Interval window = new Interval(beforeNanos, System.nanoTime());
      // It has a client all the time: longer than idle-ttl in the pause, too.
      try (NbdClient _ = server.connect("vda@nightly")) {
        long[] first = StampReader.readTwice(server.uri("vda@nightly"), 0);
        load.awaitWrites(500);
        paused(server, Duration.ofSeconds(3));
        load.awaitWrites(500);
        long[] later = StampReader.readTwice(server.uri("vda@nightly"), 0);
        assertEquals(List.of(), StampReader.difference(first, later));
        load.stop();
        assertEquals(List.of(), load.failures());
        assertEquals(
            List.of(),
            new PointInTimeChecker(load.records()).check(window, List.of(new View(0, first))),
            "seed=" + seed);
        assertEquals(0, server.disk().path("write-errors").asInt());
      }
      server.release("nightly");
    }
  }

  @Test
  void pauseBreaksNoSnapshotThatNoWriteWaitsFor() throws Exception {
    byte[] old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 5);
    try (PackagedServer server = server("--cbw-timeout", "1", "--write-budget", "1s");
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      Images.write(guest, 0, Images.filled(BLOCK_BYTES, 0xee));
      paused(server, Duration.ofSeconds(3));
      Images.write(guest, BLOCK_BYTES, Images.filled(BLOCK_BYTES, 0xee));
      JsonNode status = server.snapshotDisk("nightly");
      assertFalse(status.has("broken-because"), status::toString);
      assertEquals("normal", server.disk().path("write-budget").asString());
      try (NbdClient backup = server.connect("vda@nightly")) {
        assertArrayEquals(old, Images.read(backup, 0, SIZE_BYTES));
      }
    }
  }

  @Test
  void timeThatRanOutDuringThePauseIsUpAfterIt() throws Exception {
    byte[] _ = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 5);
    try (PackagedServer server = server();
        ControlSocket events = server.control()) {
      start(server, "short", "ttl", 2);
      start(server, "long", "ttl", 3600);
      paused(server, Duration.ofSeconds(3));
      JsonNode ended = events.awaitEvent("X_NBDFLEECE_SNAPSHOT_ENDED");
      assertEquals("short", ended.path("name").asString());
      assertTrue(ended.path("reason").asString().contains("time is up"), ended::toString);
      assertFalse(server.snapshotDisk("long").has("broken-because"));
    }
  }

  /// It takes what it has been sent, and the server cannot see that while it stands still.
  @Test
  void readerThatWaitedForThePausedServerIsNotTakenForAStalledOne() throws Exception {
    byte[] old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 5);
    int pieceBytes = 4 << 20;
    try (PackagedServer server = server("--limit", "stall-seconds=2");
        RawNbdConnection reader = RawNbdConnection.open(server.socket(), "vda")) {
      for (int offset = 0; offset < SIZE_BYTES; offset += pieceBytes) {
        reader.requestRead(offset, pieceBytes);
      }
      ByteBuffer start = reader.receive(16 + 4096);
      assertEquals(0, start.getInt(4), "the first reply");
      server.signal("STOP");
      byte[] head = new byte[64 << 10];
      try {
        ByteBuffer _ = reader.receive(head.length).get(head);
        Pause.of(Duration.ofSeconds(3));
      } finally {
        server.signal("CONT");
      }
      assertArrayEquals(Arrays.copyOfRange(old, 4096, 4096 + head.length), head);
      byte[] rest = new byte[pieceBytes - 4096 - head.length];
      ByteBuffer _ = reader.receive(rest.length).get(rest);
      assertArrayEquals(Arrays.copyOfRange(old, 4096 + head.length, pieceBytes), rest);
      for (int offset = pieceBytes; offset < SIZE_BYTES; offset += pieceBytes) {
        assertEquals(0, reader.receive(16).getInt(4));
        byte[] piece = new byte[pieceBytes];
        ByteBuffer _ = reader.receive(pieceBytes).get(piece);
        assertArrayEquals(Arrays.copyOfRange(old, offset, offset + pieceBytes), piece);
      }
    }
  }

  @Test
  void pausedBackupProgramHoldsNoGuestUpAndGoesOn() throws Exception {
    byte[] old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 5);
    Path copy = directory.resolve("copy.img");
    try (PackagedServer server = server();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      // Slow enough to be in the middle: it writes to a pipe that is read when the test wants.
      Process pull =
          new ProcessBuilder(
                  "sh",
                  "-c",
                  "\"$0\" \"$1\" - | { read -r _ <\"$2\"; cat >\"$3\"; }",
                  Peer.NBDCOPY.path(),
                  server.uri("vda@nightly").toString(),
                  fifo("go").toString(),
                  copy.toString())
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      Awaitility.await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> server.snapshotDisk("nightly").path("clients").asInt() > 0);
      List<ProcessHandle> pulling = pull.descendants().toList();
      signal(pulling, "-STOP");
      for (int offset = 0; offset < SIZE_BYTES; offset += BLOCK_BYTES) {
        Images.write(guest, offset, Images.filled(BLOCK_BYTES, 0xee));
      }
      signal(pulling, "-CONT");
      Files.writeString(directory.resolve("go"), "\n");
      assertEquals(0, Command.await(pull, List.of("nbdcopy")));
      assertArrayEquals(old, Files.readAllBytes(copy));
      assertFalse(server.snapshotDisk("nightly").has("broken-because"));
    }
  }

  private Path fifo(String name) throws IOException {
    Path fifo = directory.resolve(name);
    Command.Result _ = Command.run("mkfifo", fifo.toString()).succeeds();
    return fifo;
  }

  private static void signal(List<ProcessHandle> processes, String signal) throws IOException {
    for (ProcessHandle process : processes) {
      Command.Result _ = Command.run("kill", signal, Long.toString(process.pid()));
    }
  }

  private PackagedServer server(String... options) throws IOException {
    return PackagedServer.in(directory)
        .disk("vda", directory.resolve("vda.img"))
        .with("--ram", "2M")
        .with(options)
        .start();
  }

  private static void start(PackagedServer server, String name, String limit, int seconds)
      throws IOException {
    ObjectNode arguments = ControlSocket.object().put("name", name).put(limit, seconds);
    try (ControlSocket control = server.control()) {
      JsonNode _ = control.execute("fleecing-start", arguments);
    }
  }

  private static void paused(PackagedServer server, Duration time) throws IOException {
    server.signal("STOP");
    try {
      Pause.of(time);
    } finally {
      server.signal("CONT");
    }
  }
}
