// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Addresses: what is bound, what is refused, what is left behind.
class ListenTest {
  @TempDir Path directory;

  private final MemoryExport disk = new MemoryExport(512, MemoryExport.WRITABLE);

  private NbdServer start(ServerConfig.Listen... listen) throws IOException {
    return NbdServer.start(new ServerConfig(List.of(listen), TestServer.LIMITS), disk);
  }

  private String failure(ServerConfig.Listen... listen) {
    return String.valueOf(assertThrows(IOException.class, () -> start(listen)).getMessage());
  }

  private static ServerConfig.Listen unix(Path path) {
    return new ServerConfig.Listen.Unix(path);
  }

  private static ServerConfig.Listen tcp(int port) {
    return new ServerConfig.Listen.Tcp(
        new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
  }

  private long filesLeft() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.count();
    }
  }

  @Test
  void unixSocketIsForItsOwnerOnlyAndGoesWithTheServer() throws IOException {
    Path path = directory.resolve("s");
    NbdServer server = start(unix(path));
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(path)));
    assertEquals(List.of(new NbdUri.Unix(path, "")), server.uris());
    assertEquals(1, filesLeft());
    RawPeer.open(path, false).close();
    server.close(Duration.ZERO);
    assertEquals(0, filesLeft());
  }

  @Test
  void staleSocketIsReplaced() throws IOException {
    Path path = directory.resolve("s");
    try (ServerSocketChannel old = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      old.bind(UnixDomainSocketAddress.of(path));
    }
    assertTrue(Files.exists(path));
    NbdServer server = start(unix(path));
    RawPeer.open(path, false).close();
    server.close(Duration.ZERO);
  }

  @Test
  void liveSocketIsNotReplaced() throws IOException {
    Path path = directory.resolve("s");
    NbdServer first = start(unix(path));
    assertTrue(failure(unix(path)).contains("in use"));
    RawPeer.open(path, false).close();
    assertEquals(1, filesLeft());
    first.close(Duration.ZERO);
  }

  @Test
  void otherFileIsNotReplaced() throws IOException {
    Path path = Files.writeString(directory.resolve("s"), "precious");
    assertTrue(failure(unix(path)).contains("not a socket"));
    assertEquals("precious", Files.readString(path));
  }

  @Test
  void socketOfAnotherServerIsNotRemoved() throws IOException {
    Path path = directory.resolve("s");
    NbdServer first = start(unix(path));
    Files.delete(path);
    NbdServer second = start(unix(path));
    first.close(Duration.ZERO);
    RawPeer.open(path, false).close();
    second.close(Duration.ZERO);
  }

  @Test
  void longestPathWorksAndALongerOneSaysWhy() throws IOException {
    // One byte less than the system allows, for Java's own client.
    int room = 106 - directory.toString().length() - 1;
    NbdServer server = start(unix(directory.resolve("p".repeat(room))));
    RawPeer.open(directory.resolve("p".repeat(room)), false).close();
    assertEquals(1, filesLeft());
    server.close(Duration.ZERO);
    String message = failure(unix(directory.resolve("p".repeat(room + 2))));
    assertTrue(message.contains("108 bytes (expected: at most 107)"), message);
  }

  @Test
  void missingDirectoryIsNamed() {
    Path missing = directory.resolve("none");
    assertTrue(failure(unix(missing.resolve("s"))).contains("no such directory: " + missing));
  }

  @Test
  @Rule("G3")
  void portZeroIsResolvedAndServes() throws IOException {
    NbdServer server = start(tcp(0));
    NbdUri.Tcp uri = (NbdUri.Tcp) server.uris().getFirst();
    try (RawPeer peer =
        new RawPeer(SocketChannel.open(new InetSocketAddress(uri.host(), uri.port())))) {
      peer.greet(3);
      peer.go();
    }
    server.close(Duration.ZERO);
  }

  @Test
  void takenPortIsNamedAndNothingStaysBound() throws IOException {
    NbdServer first = start(tcp(0));
    int port = ((NbdUri.Tcp) first.uris().getFirst()).port();
    Path path = directory.resolve("s");
    assertEquals(
        "port " + port + " on 127.0.0.1 is in use: choose another with --port",
        failure(unix(path), tcp(port)));
    assertFalse(Files.exists(path));
    first.close(Duration.ZERO);
  }
}
