// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;

/// Somebody else's program that listens on a Unix socket, whatever it speaks there.
final class PeerDaemon implements AutoCloseable {
  private static final Duration START_MAX = Duration.ofSeconds(30);

  private final Process process;
  private final List<String> command;

  /// Starts it and waits until it listens, or has ended.
  PeerDaemon(List<String> command, Path socket) throws IOException {
    this.command = command;
    process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    Awaitility.await()
        .atMost(START_MAX)
        .pollInterval(Duration.ofMillis(20))
        .until(() -> listens(socket) || !process.isAlive());
  }

  private static boolean listens(Path socket) {
    try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
      return channel.isConnected();
    } catch (IOException _) {
      return false;
    }
  }

  @Override
  public void close() {
    process.destroy();
    int _ = Command.await(process, command);
  }
}
