// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Assumptions;

/// Somebody else's NBD server, on a Unix socket in a directory of its own; ends with [#close].
final class PeerProcess implements AutoCloseable {
  private final Process process;
  private final Path socket;
  private final int port;

  private PeerProcess(Path socket, List<String> command) throws IOException {
    this(socket, 0, socket, command);
  }

  /// @param ready a file that the peer creates once it can be connected to
  private PeerProcess(Path socket, int port, Path ready, List<String> command) throws IOException {
    this.socket = socket;
    this.port = port;
    process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> Files.exists(ready));
  }

  static PeerProcess nbdkit(Path directory, String... arguments) throws IOException {
    requireInstalled("nbdkit");
    Path socket = directory.resolve("nbdkit.sock");
    List<String> command = new ArrayList<>(List.of("nbdkit", "-f", "-U", socket.toString()));
    command.addAll(Arrays.asList(arguments));
    return new PeerProcess(socket, command);
  }

  /// On a port of 127.0.0.1.
  static PeerProcess nbdkitTcp(Path directory, String... arguments) throws IOException {
    requireInstalled("nbdkit");
    int port;
    try (ServerSocket unused = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = unused.getLocalPort();
    }
    Path ready = directory.resolve("nbdkit.pid");
    List<String> command =
        new ArrayList<>(
            List.of("nbdkit", "-f", "-i", "127.0.0.1", "-p", "" + port, "-P", ready.toString()));
    command.addAll(Arrays.asList(arguments));
    return new PeerProcess(directory.resolve("none.sock"), port, ready, command);
  }

  static PeerProcess qemuNbd(Path directory, Path image, String... arguments) throws IOException {
    requireInstalled("qemu-nbd");
    Path socket = directory.resolve("qemu.sock");
    List<String> command = new ArrayList<>(List.of("qemu-nbd", "-t", "-f", "raw", "-e", "8"));
    command.addAll(List.of("-k", socket.toString()));
    command.addAll(Arrays.asList(arguments));
    command.add(image.toString());
    return new PeerProcess(socket, command);
  }

  static void requireInstalled(String tool) {
    boolean installed =
        Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":"))
            .anyMatch(directory -> Files.isExecutable(Path.of(directory, tool)));
    Assumptions.assumeTrue(
        installed, tool + " is not installed: apt-get install nbdkit qemu-utils libnbd-bin");
  }

  /// Ends it at once, as a crash would.
  void kill() throws IOException {
    try {
      process.destroyForcibly().waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    Files.deleteIfExists(socket);
  }

  int port() {
    return port;
  }

  NbdUri uri(String exportName) {
    return new NbdUri.Unix(socket, exportName);
  }

  @Override
  public void close() {
    process.destroy();
    try {
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
      Files.deleteIfExists(socket);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
