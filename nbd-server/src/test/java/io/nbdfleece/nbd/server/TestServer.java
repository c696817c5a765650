// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;

/// A server of one [MemoryExport] on a Unix socket. Closing it checks that nothing has leaked.
final class TestServer implements AutoCloseable {
  static final ServerLimits LIMITS =
      ServerLimits.defaults()
          .withEventLoopCount(2)
          .withHandshakeDeadline(Duration.ofSeconds(30))
          .withStalledReaderDeadline(Duration.ofSeconds(30));

  final MemoryExport disk;
  final Path directory;
  final Path socket;
  final NbdServer server;

  TestServer(MemoryExport disk) throws IOException {
    this(disk, LIMITS);
  }

  TestServer(MemoryExport disk, ServerLimits limits) throws IOException {
    this(disk, limits, ServerTls.OFF);
  }

  TestServer(MemoryExport disk, ServerLimits limits, ServerTls tls) throws IOException {
    this(disk, limits, tls, ServerConfig.ThreadStarts.ALIKE);
  }

  /// On a TCP port as well.
  TestServer(
      MemoryExport disk, ServerLimits limits, ServerTls tls, ServerConfig.ThreadStarts starts)
      throws IOException {
    this.disk = disk;
    directory = Files.createTempDirectory("nbdtest");
    socket = directory.resolve("s");
    InetSocketAddress tcp = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    server =
        NbdServer.start(
            new ServerConfig(
                List.of(new ServerConfig.Listen.Unix(socket), new ServerConfig.Listen.Tcp(tcp)),
                limits,
                tls,
                starts),
            disk);
  }

  int port() {
    return ((NbdUri.Tcp) server.uris().get(1)).port();
  }

  static TestServer writable() throws IOException {
    return new TestServer(new MemoryExport(1 << 20, MemoryExport.WRITABLE));
  }

  RawPeer connect() throws IOException {
    return RawPeer.connect(socket);
  }

  RawPeer open() throws IOException {
    return RawPeer.open(socket, false);
  }

  RawPeer openStructured() throws IOException {
    return RawPeer.open(socket, true);
  }

  /// The event loop, if there is only one, has seen what has come before.
  ///
  /// @param other another connection
  static void goRound(RawPeer other) throws IOException {
    for (int round = 0; round < 20; round++) {
      other.send(request(Nbd.CMD_READ, round, 0, 0));
      other.reply();
    }
  }

  void awaitNoConnections() {
    Awaitility.await().until(() -> server.connectionCount() == 0);
  }

  @Override
  public void close() throws IOException {
    disk.held.forEach(Runnable::run);
    server.close(Duration.ofSeconds(1));
    assertEquals(disk.connected.get(), disk.disconnected.get(), "disconnected() per connected()");
    assertNoLeak((PooledByteBufAllocator) server.allocator());
    Files.deleteIfExists(socket);
    Files.delete(directory);
  }

  static void assertNoLeak(PooledByteBufAllocator allocator) {
    // The caches of the event loops are gone with their threads, so every buffer must be back.
    Awaitility.await()
        .pollDelay(Duration.ZERO)
        .untilAsserted(
            () ->
                assertEquals(
                    0,
                    allocator.metric().directArenas().stream()
                        .mapToLong(arena -> arena.numActiveAllocations())
                        .sum(),
                    "buffers not released"));
  }
}
