// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.PoolArenaMetric;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Many bad clients at once, and a good one that is served all the same. Times are printed, not
/// judged; memory is judged.
@Timeout(300)
final class CrowdTest {
  private static final int STALLED_HANDSHAKES = 1000;
  private static final int BAD_CLIENTS = 100;

  private final List<RawPeer> crowd = new ArrayList<>();
  private final LoudLog log = new LoudLog();
  private TestServer server;

  @BeforeEach
  void start() throws IOException {
    server =
        new TestServer(
            new MemoryExport(32 << 20, MemoryExport.WRITABLE),
            TestServer.LIMITS
                .withHandshakeDeadline(Duration.ofMinutes(5))
                .withStalledReaderDeadline(Duration.ofMinutes(5)));
  }

  @AfterEach
  void stop() throws IOException {
    for (RawPeer peer : crowd) {
      peer.close();
    }
    server.awaitNoConnections();
    server.close();
    log.assertSilent("a crowd is nothing to warn of");
    log.close();
  }

  private long activeBytes() {
    return ((PooledByteBufAllocator) server.server.allocator())
        .metric().directArenas().stream().mapToLong(PoolArenaMetric::numActiveBytes).sum();
  }

  private static long millis(long sinceNanos) {
    return (System.nanoTime() - sinceNanos) / 1_000_000;
  }

  @Test
  void clientIsServedWhileAThousandSilentSocketsAreOpen() throws IOException {
    for (int count = 0; count < STALLED_HANDSHAKES; count++) {
      crowd.add(server.connect());
    }
    long start = System.nanoTime();
    try (RawPeer good = server.open()) {
      good.send(request(Nbd.CMD_READ, 1, 0, 4096));
      assertEquals(1, good.reply(4096).cookie());
      System.out.println(
          "CrowdTest: served in "
              + millis(start)
              + " ms beside "
              + crowd.size()
              + " silent sockets");
      int left = server.server.connectionCount();
      assertTrue(left <= TestServer.LIMITS.handshakesMax() + 2, () -> "connections kept: " + left);
    }
    assertTrue(activeBytes() < 64 << 20, () -> "bytes in buffers: " + activeBytes());
  }

  @Test
  void handshakesThatDripByteByByteKeepNobodyOut() throws IOException {
    byte[] script = ConnectionEndTest.script();
    for (int count = 0; count < BAD_CLIENTS; count++) {
      crowd.add(server.connect());
    }
    try (RawPeer good = server.open()) {
      for (int at = 0; at < script.length - 28; at++) {
        for (RawPeer slow : crowd) {
          slow.send(new byte[] {script[at]});
        }
        good.send(request(Nbd.CMD_READ, at, 0, 4096));
        assertEquals(at, good.reply(4096).cookie());
      }
    }
    Awaitility.await().until(() -> server.disk.connected.get() == BAD_CLIENTS + 1);
  }

  @Test
  void stalledReadersGetAllTheirRepliesWhenTheyWakeUp() throws IOException {
    byte[] read = request(Nbd.CMD_READ, 1, 0, 1 << 20);
    for (int count = 0; count < BAD_CLIENTS; count++) {
      RawPeer stalled = server.open();
      crowd.add(stalled);
      stalled.send(read, read, read, read);
    }
    ByteBuffer reply = ByteBuffer.allocate(16 + (1 << 20));
    for (RawPeer woken : crowd) {
      for (int count = 0; count < 4; count++) {
        reply.clear();
        while (reply.hasRemaining()) {
          assertTrue(woken.socket.read(reply) > 0, "the end instead of a reply");
        }
        assertEquals(Nbd.SIMPLE_REPLY_MAGIC, reply.getInt(0));
      }
    }
  }
}
