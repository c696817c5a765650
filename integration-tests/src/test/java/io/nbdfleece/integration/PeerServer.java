// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;

/// Somebody else's NBD server, on a Unix socket.
final class PeerServer implements AutoCloseable {
  private final Process process;
  private final Path socket;

  private PeerServer(List<String> command, Path socket) throws IOException {
    this.socket = socket;
    process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    Awaitility.await()
        .atMost(Duration.ofSeconds(20))
        .until(() -> Files.exists(socket) || !process.isAlive());
  }

  /// `nbdkit`, e.g. with `memory`, `1M`.
  static PeerServer nbdkit(Path socket, String... arguments) throws IOException {
    return new PeerServer(
        Command.join(
            List.of(Peer.NBDKIT.path(), "-f", "--exit-with-parent", "-U", socket.toString()),
            arguments),
        socket);
  }

  /// `qemu-nbd`, e.g. with `-f`, `qcow2`, PATH.
  static PeerServer qemuNbd(Path socket, String... arguments) throws IOException {
    return new PeerServer(
        Command.join(
            List.of(Peer.QEMU_NBD.path(), "-t", "-e", "8", "-k", socket.toString()), arguments),
        socket);
  }

  String uri(String exportName) {
    return "nbd+unix:///" + exportName + "?socket=" + socket;
  }

  /// SIGKILL. Its socket stays and is removed here, so that another one can listen there.
  void kill() throws IOException {
    process.destroyForcibly();
    int _ = Command.await(process, List.of("peer"));
    Files.delete(socket);
  }

  @Override
  public void close() {
    process.destroy();
    int _ = Command.await(process, List.of("peer"));
  }
}
