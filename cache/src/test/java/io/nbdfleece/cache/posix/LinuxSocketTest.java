// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The descriptor of a socket of the JDK is found by looking which one is new in `/proc/self/fd`.
class LinuxSocketTest {
  @TempDir private Path directory = Path.of("");

  @Test
  void aDatagramToAPathThatNobodyHasIsRefused() {
    String path = directory.resolve("nobody").toString();
    PosixException error =
        assertThrows(PosixException.class, () -> LinuxSocket.sendDatagram(path, bytes("READY=1")));
    assertEquals(Errno.ENOENT, error.errno());
    assertTrue(error.toString().contains(path), error.toString());
  }

  @Test
  void anAbstractNameIsNoPath() {
    // Not ENOENT: the kernel has looked among the abstract names, where there is none such.
    PosixException error =
        assertThrows(
            PosixException.class,
            () -> LinuxSocket.sendDatagram("@nbdfleece-nobody-here", bytes("READY=1")));
    assertEquals(Errno.ECONNREFUSED, error.errno());
  }

  @Test
  void anAddressOfImpossibleLengthIsRefused() {
    for (String address : List.of("", "@", "/" + "x".repeat(200))) {
      assertThrows(IOException.class, () -> LinuxSocket.sendDatagram(address, bytes("x")));
    }
  }

  @Test
  void aDescriptorThatIsNoSocketHasNoAddress() {
    assertThrows(IOException.class, () -> LinuxSocket.localAddress(1_000_000));
  }

  @Test
  void theAddressOfATcpSocketIsFound() throws IOException {
    for (String host : List.of("127.0.0.1", "::1")) {
      Map<String, Integer> before = sockets();
      try (ServerSocketChannel server = ServerSocketChannel.open()) {
        server.bind(new InetSocketAddress(InetAddress.getByName(host), 0));
        InetSocketAddress found = (InetSocketAddress) LinuxSocket.localAddress(newSocket(before));
        assertEquals(server.socket().getLocalPort(), found.getPort());
        assertTrue(found.getAddress().isLoopbackAddress(), found.toString());
      }
    }
  }

  @Test
  void theAddressOfAUnixSocketIsFound() throws IOException {
    Path path = directory.resolve("größe.sock");
    // The JDK opens sockets of its own when the first one is closed.
    ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX).close();
    Map<String, Integer> before = sockets();
    try (ServerSocketChannel server =
        ServerSocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
      server.bind(UnixDomainSocketAddress.of(path));
      assertEquals(UnixDomainSocketAddress.of(path), LinuxSocket.localAddress(newSocket(before)));
    }
  }

  private static int newSocket(Map<String, Integer> before) throws IOException {
    Map<String, Integer> sockets = sockets();
    sockets.keySet().removeAll(before.keySet());
    assertEquals(1, sockets.size(), sockets.toString());
    return sockets.values().iterator().next();
  }

  /// All sockets of this process, `socket:[inode]` and descriptor.
  private static Map<String, Integer> sockets() throws IOException {
    Map<String, Integer> sockets = new HashMap<>();
    try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path descriptor : all) {
        String target = Files.readSymbolicLink(descriptor).toString();
        if (target.startsWith("socket:")) {
          sockets.put(target, Integer.parseInt(String.valueOf(descriptor.getFileName())));
        }
      }
    }
    return sockets;
  }

  private static byte[] bytes(String text) {
    return text.getBytes(UTF_8);
  }
}
