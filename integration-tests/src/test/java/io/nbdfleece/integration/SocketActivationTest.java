// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Listening sockets that others have bound and pass to the server: systemd, and clients of libnbd
/// that run a server of their own, `nbdinfo [ nbdfleece serve disk.img ]`.
@Timeout(120)
final class SocketActivationTest {
  private static final int SIZE_BYTES = 1 << 20;

  @TempDir private Path directory = Path.of("");
  private Path image = Path.of("");

  @BeforeEach
  void writeImage() throws IOException {
    image = directory.resolve("disk.img");
    byte[] content = new byte[SIZE_BYTES];
    Arrays.fill(content, (byte) 'x');
    Files.write(image, content);
  }

  @Test
  void nbdinfoRunsAServerOfItsOwn() throws IOException {
    Command.Result size =
        Command.run(captive(Peer.NBDINFO.path(), List.of("--size", "--"), image)).succeeds();
    assertEquals("" + SIZE_BYTES, size.out().strip());
  }

  @Test
  void standardOutputBelongsToTheClient() throws IOException {
    List<String> command = captive(Peer.NBDCOPY.path(), List.of("--"), image);
    command.add("-");
    Command.Result copy = Command.run(command).succeeds();
    assertEquals("x".repeat(SIZE_BYTES), copy.out());
  }

  @Test
  void severalServersAtOnceDoNotMeet() throws IOException {
    Path target = Images.sparse(directory.resolve("target.img"), SIZE_BYTES);
    List<String> command = captive(Peer.NBDCOPY.path(), List.of("--"), image);
    command.addAll(bracketed(target));
    Command.Result _ = Command.run(command).succeeds();
    assertArrayEquals(Files.readAllBytes(image), Files.readAllBytes(target));
  }

  @Test
  void theFirstClientStartsTheServiceAndIsServed() throws IOException {
    Path socket = directory.resolve("nbd.sock");
    Path ready = directory.resolve("ready.json");
    List<String> command =
        new ArrayList<>(List.of(Peer.SYSTEMD_SOCKET_ACTIVATE.path(), "--listen=" + socket));
    command.addAll(Program.serve("--json", image.toString()));
    Process service =
        new ProcessBuilder(command)
            .redirectError(ready.toFile())
            .redirectOutput(directory.resolve("out").toFile())
            .start();
    try {
      Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> Files.exists(socket));
      assertTrue(!Files.readString(ready).contains("message_type"), "nobody has come yet");
      NbdUri uri = new NbdUri.Unix(socket, "disk");
      try (NbdClient client = NbdClient.connect(uri, List.of())) {
        assertEquals(SIZE_BYTES, client.info().sizeBytes());
      }
      try (NbdClient again = NbdClient.connect(uri, List.of())) {
        assertEquals(SIZE_BYTES, again.info().sizeBytes());
      }
      Awaitility.await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> Files.readString(ready).contains("\"" + uri + "\""));
    } finally {
      service.destroy();
      assertEquals(0, Command.await(service, command), Files.readString(ready));
    }
    assertTrue(Files.exists(socket), "the socket is not ours to remove");
  }

  private static List<String> captive(String client, List<String> options, Path disk) {
    List<String> command = new ArrayList<>(List.of(client));
    command.addAll(options);
    command.addAll(bracketed(disk));
    return command;
  }

  private static List<String> bracketed(Path disk) {
    List<String> server = new ArrayList<>(List.of("["));
    server.addAll(Program.serve(disk.toString()));
    server.add("]");
    return server;
  }
}
