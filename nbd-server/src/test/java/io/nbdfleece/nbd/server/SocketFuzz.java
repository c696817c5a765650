// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.nbdfleece.nbd.NbdUri;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.awaitility.Awaitility;

/// A server of its own on a Unix socket and a TCP port, and one client after the other that plays a
/// [FuzzScript] against it. Half of the requests complete on other threads.
final class SocketFuzz implements AutoCloseable {
  private final Path directory;
  private final ExecutorService workers = Executors.newFixedThreadPool(2);
  private final AtomicInteger turn = new AtomicInteger();
  private final FuzzCatalog catalog;
  private final NbdServer server;

  SocketFuzz(ServerLimits limits) throws IOException {
    directory = Files.createTempDirectory("nbdfuzz");
    catalog = new FuzzCatalog(this::complete);
    InetSocketAddress loopback = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    server =
        NbdServer.start(
            new ServerConfig(
                List.of(
                    new ServerConfig.Listen.Unix(directory.resolve("s")),
                    new ServerConfig.Listen.Tcp(loopback)),
                limits),
            catalog);
  }

  private void complete(Runnable completion) {
    if (turn.incrementAndGet() % 2 == 0) {
      completion.run();
    } else {
      workers.execute(completion);
    }
  }

  /// A socket that nothing has passed over yet.
  SocketChannel connect(boolean unix) throws IOException {
    return switch (server.uris().get(unix ? 0 : 1)) {
      case NbdUri.Unix address -> SocketChannel.open(UnixDomainSocketAddress.of(address.socket()));
      case NbdUri.Tcp address ->
          SocketChannel.open(new InetSocketAddress(address.host(), address.port()));
    };
  }

  /// One client, from connecting to the judgement.
  void play(SplittableRandom random, FuzzScript script) throws IOException, InterruptedException {
    catalog.renew();
    boolean unix = random.nextBoolean();
    Replies replies;
    try (SocketChannel socket = connect(unix)) {
      if (!unix && script.ending == FuzzScript.Ending.RESET) {
        socket.setOption(StandardSocketOptions.SO_LINGER, 0);
      }
      replies = new Replies(socket);
      boolean whole = write(socket, random, script.bytes);
      if (script.ending == FuzzScript.Ending.HALF_CLOSE) {
        if (whole) {
          socket.shutdownOutput();
        }
        replies.thread.join();
      }
    } catch (IOException refused) {
      throw new IOException("seen by a client that connects or closes", refused);
    }
    replies.thread.join();
    // The end that the server makes of one that broke the protocol may cost replies under way.
    boolean polite =
        script.ending == FuzzScript.Ending.HALF_CLOSE && (!script.damaged || replies.ended);
    FuzzSession.Leaving leaving = polite ? FuzzSession.Leaving.POLITE : FuzzSession.Leaving.RUDE;
    new FuzzSession(
            script.bytes,
            replies.bytes.toByteArray(),
            leaving,
            catalog.disks(),
            FuzzSession.Tls.NONE)
        .judge();
  }

  /// Whether the server took all of it.
  private static boolean write(SocketChannel socket, SplittableRandom random, byte[] bytes) {
    try {
      for (int at = 0; at < bytes.length; ) {
        int count = Math.min(bytes.length - at, 1 + random.nextInt(30_000));
        ByteBuffer segment = ByteBuffer.wrap(Arrays.copyOfRange(bytes, at, at + count));
        while (segment.hasRemaining()) {
          socket.write(segment);
        }
        at += count;
      }
      return true;
    } catch (IOException droppedByServer) {
      return false;
    }
  }

  @Override
  public void close() throws IOException {
    Awaitility.await().until(() -> server.connectionCount() == 0);
    server.close(Duration.ofSeconds(1));
    workers.shutdown();
    assertEquals(catalog.connectedCount(), catalog.disconnectedCount(), "disconnected()");

    TestServer.assertNoLeak((PooledByteBufAllocator) server.allocator());
    assertFalse(Files.exists(directory.resolve("s")));
    Files.delete(directory);
  }

  /// Reads whatever comes until the connection ends, so that no side ever waits for the other.
  private static final class Replies {
    final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    final Thread thread;

    /// Whether it was the server that closed, in order.
    boolean ended;

    Replies(SocketChannel socket) {
      thread = Thread.ofVirtual().name("fuzz-reader").start(() -> read(socket));
    }

    private void read(SocketChannel socket) {
      ByteBuffer buffer = ByteBuffer.allocate(64 << 10);
      try {
        while (socket.read(buffer) >= 0) {
          bytes.write(buffer.array(), 0, buffer.position());
          buffer.clear();
        }
        ended = true;
      } catch (IOException closedOrReset) {
        ended = false;
      }
    }
  }
}
