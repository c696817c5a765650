// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// A session that its client leaves at every byte, of what it sends and of what it receives, over
/// both kinds of socket.
@Timeout(300)
final class LeavingTest {
  /// How it leaves.
  enum Way {
    UNIX_CLOSE,
    UNIX_HALF_CLOSE,
    TCP_CLOSE,
    TCP_HALF_CLOSE,
    TCP_RESET;

    boolean isUnix() {
      return this == UNIX_CLOSE || this == UNIX_HALF_CLOSE;
    }

    boolean isHalf() {
      return this == UNIX_HALF_CLOSE || this == TCP_HALF_CLOSE;
    }
  }

  @TempDir private Path directory;

  private final MemoryExport disk = new MemoryExport(1 << 20, MemoryExport.WRITABLE);

  private NbdServer serve() throws IOException {
    InetSocketAddress loopback = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    return NbdServer.start(
        new ServerConfig(
            List.of(
                new ServerConfig.Listen.Unix(directory.resolve("s")),
                new ServerConfig.Listen.Tcp(loopback)),
            TestServer.LIMITS),
        disk);
  }

  private static SocketChannel connect(NbdServer server, Way way) throws IOException {
    return switch (server.uris().get(way.isUnix() ? 0 : 1)) {
      case NbdUri.Unix unix -> SocketChannel.open(UnixDomainSocketAddress.of(unix.socket()));
      case NbdUri.Tcp tcp -> {
        SocketChannel socket = SocketChannel.open(new InetSocketAddress(tcp.host(), tcp.port()));
        if (way == Way.TCP_RESET) {
          socket.setOption(StandardSocketOptions.SO_LINGER, 0);
        }
        yield socket;
      }
    };
  }

  private static void send(SocketChannel socket, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      socket.write(buffer);
    }
  }

  /// Up to that many bytes, or the end.
  private static byte[] receive(SocketChannel socket, int byteCountMax) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(byteCountMax);
    while (buffer.hasRemaining() && socket.read(buffer) >= 0) {
      // More may come.
    }
    return Arrays.copyOf(buffer.array(), buffer.position());
  }

  private void stop(NbdServer server) {
    Awaitility.await().until(() -> server.connectionCount() == 0);
    server.close(Duration.ofSeconds(1));
    assertEquals(disk.connected.get(), disk.disconnected.get());
    TestServer.assertNoLeak((PooledByteBufAllocator) server.allocator());
  }

  @ParameterizedTest
  @EnumSource
  void clientLeavesAfterEveryByteItSends(Way way) throws IOException {
    byte[] script = ConnectionEndTest.script();
    NbdServer server = serve();
    byte[] whole = new byte[0];
    try (LoudLog log = new LoudLog()) {
      for (int count = script.length; count >= 0; count--) {
        try (SocketChannel socket = connect(server, way)) {
          send(socket, Arrays.copyOf(script, count));
          if (way.isHalf()) {
            socket.shutdownOutput();
            byte[] replies = receive(socket, 1 << 16);
            whole = count == script.length ? replies : whole;
            // Which bytes they are is ServerFuzzTest's matter.
            assertTrue(replies.length >= 18 && replies.length <= whole.length, "left at " + count);
          }
        }
      }
      log.assertSilent("a client that leaves is nothing to warn of");
    } finally {
      stop(server);
    }
  }

  @ParameterizedTest
  @EnumSource
  void clientLeavesAfterEveryByteItReceives(Way way) throws IOException {
    byte[] script = ConnectionEndTest.script();
    // Without the NBD_CMD_DISC at the end: it is the client that ends it.
    byte[] endless = Arrays.copyOf(script, script.length - 28);
    NbdServer server = serve();
    try (LoudLog log = new LoudLog()) {
      int total;
      try (SocketChannel socket = connect(server, way)) {
        send(socket, script);
        total = receive(socket, 1 << 16).length;
      }
      assertTrue(total > 500, () -> "replies of " + total + " bytes");
      for (int count = 0; count <= total; count++) {
        try (SocketChannel socket = connect(server, way)) {
          send(socket, endless);
          assertEquals(count, receive(socket, count).length);
          if (way.isHalf()) {
            socket.shutdownOutput();
            assertEquals(total - count, receive(socket, 1 << 16).length, "the rest");
          }
        }
      }
      log.assertSilent("a client that leaves is nothing to warn of");
    } finally {
      stop(server);
    }
  }
}
