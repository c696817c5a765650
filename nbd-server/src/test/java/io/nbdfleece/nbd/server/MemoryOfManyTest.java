// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.PoolArenaMetric;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Clients that take what memory they can get: what all connections have in flight together stays
/// within [ServerLimits#bytesInFlightTotalMax], and others are served. Times are printed, not
/// judged.
@Timeout(300)
final class MemoryOfManyTest {
  private static final int BAD_CLIENTS = 100;
  private static final long TOTAL_BYTES = 96 << 20;

  /// What [ServerLimits] says: the total, and 512 KiB for each connection. The allocator rounds up
  /// by a quarter.
  private static final long ALLOWED_BYTES =
      (TOTAL_BYTES + (BAD_CLIENTS + 1) * (512L << 10)) / 4 * 5;

  private static final int GOOD_READS = 500;

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
                .withStalledReaderDeadline(Duration.ofMinutes(5))
                .withBytesInFlightTotalMax(TOTAL_BYTES));
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

  /// The longest but one in a hundred of many reads, in microseconds.
  private long readMicros(RawPeer peer) throws IOException {
    long[] nanos = new long[GOOD_READS];
    for (int index = 0; index < GOOD_READS; index++) {
      long start = System.nanoTime();
      peer.send(request(Nbd.CMD_READ, index, 0, 4096));
      assertEquals(index, peer.reply(4096).cookie());
      nanos[index] = System.nanoTime() - start;
    }
    Arrays.sort(nanos);
    return nanos[GOOD_READS * 99 / 100] / 1000;
  }

  @Test
  void memoryStaysInBudgetWhenAHundredClientsReadNoReplies() throws IOException {
    byte[] read = request(Nbd.CMD_READ, 1, 0, 1 << 20);
    byte[][] reads = new byte[64][];
    Arrays.fill(reads, read);
    try (RawPeer good = server.open()) {
      readMicros(good);
      long before = readMicros(good);
      for (int count = 0; count < BAD_CLIENTS; count++) {
        RawPeer stalled = server.open();
        crowd.add(stalled);
        stalled.send(reads);
      }
      long during = readMicros(good);
      long active = activeBytes();
      System.out.printf(
          "MemoryOfManyTest: p99 of a read %d us before, %d us (x %.1f) beside %d stalled readers, "
              + "%d MiB in buffers%n",
          before, during, (double) during / before, BAD_CLIENTS, active >> 20);
      assertTrue(active <= ALLOWED_BYTES, () -> "bytes in buffers: " + active);
    }
  }

  @Test
  void memoryStaysInBudgetWhileTheDiskKeepsManySmallWrites() throws IOException {
    byte[] write = RawPeer.write(1, 0, new byte[512]);
    server.disk.hold = true;
    for (int count = 0; count < BAD_CLIENTS; count++) {
      crowd.add(server.open());
    }
    for (int index = 1; index <= 40; index++) {
      for (RawPeer peer : crowd) {
        peer.send(write);
      }
      int heldCount = index * BAD_CLIENTS;
      Awaitility.await().until(() -> server.disk.held.size() == heldCount);
    }
    long active = activeBytes();
    System.out.println(
        "MemoryOfManyTest: " + (active >> 20) + " MiB in buffers for 4000 small writes");
    assertTrue(active <= ALLOWED_BYTES, () -> "bytes in buffers: " + active);
    server.disk.hold = false;
    for (Runnable held; (held = server.disk.held.poll()) != null; ) {
      held.run();
    }
    for (RawPeer peer : crowd) {
      for (int index = 0; index < 40; index++) {
        assertEquals(0, peer.reply().error());
      }
    }
  }

  @Test
  void memoryStaysInBudgetWhenAHundredClientsStallInTheirWrites() throws IOException {
    byte[] header = request(Nbd.CMD_WRITE, 1, 0, 32 << 20);
    try (RawPeer good = server.open()) {
      for (int count = 0; count < BAD_CLIENTS; count++) {
        RawPeer stalled = server.open();
        crowd.add(stalled);
        stalled.send(header, new byte[100]);
      }
      readMicros(good);
      long active = activeBytes();
      System.out.println(
          "MemoryOfManyTest: "
              + (active >> 20)
              + " MiB in buffers for "
              + BAD_CLIENTS
              + " stalled writes");
      assertTrue(active <= ALLOWED_BYTES, () -> "bytes in buffers: " + active);
      byte[] data = new byte[200 << 10];
      good.send(RawPeer.write(7, 0, data));
      assertEquals(0, good.reply().error(), "a write of another client");
    }
  }
}
