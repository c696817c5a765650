// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.disc;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// What all connections together may have in flight.
@Timeout(60)
class MemoryBudgetTest {
  private static final int MIB = 1 << 20;

  private static final int LARGE_BYTES = 8 * MIB;

  /// Four large reads, with their headers, and less than five.
  private static final int BUDGET_BYTES = 4 * LARGE_BYTES + LARGE_BYTES / 2;

  private static final int MAX_BYTES = 32 * MIB;
  private static final Duration STALL_DEADLINE = Duration.ofMillis(300);

  private final MemoryExport disk = new MemoryExport(MAX_BYTES, MemoryExport.WRITABLE);
  private final List<RawPeer> peers = new ArrayList<>();
  private final TestServer server;

  MemoryBudgetTest() throws IOException {
    server =
        new TestServer(
            disk,
            ServerLimits.defaults()
                .withEventLoopCount(2)
                .withConnectionsMax(16)
                .withBytesInFlightTotalMax(BUDGET_BYTES)
                .withStalledReaderDeadline(STALL_DEADLINE));
  }

  @AfterEach
  void stop() throws IOException {
    disk.hold = false;
    for (Runnable held; (held = disk.held.poll()) != null; ) {
      held.run();
    }
    for (RawPeer peer : peers) {
      peer.close();
    }
    server.close();
    assertEquals(0, server.server.flightBytes(), "bytes not given back");
  }

  private RawPeer open() throws IOException {
    RawPeer peer = server.open();
    peers.add(peer);
    return peer;
  }

  private static byte[] reads(int count) {
    return ConnectionEndTest.reads(count, LARGE_BYTES);
  }

  /// All event loops have seen everything that has been sent so far.
  private void settle() throws IOException {
    for (int round = 0; round < 4; round++) {
      try (RawPeer other = server.open()) {
        other.send(request(Nbd.CMD_READ, round, 0, 0));
        other.reply();
      }
    }
  }

  private void awaitHeld(int count) {
    Awaitility.await().until(() -> disk.held.size() == count);
  }

  @Test
  void connectionsTogetherStayWithinTheBudget() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    RawPeer second = open();
    first.send(reads(3));
    awaitHeld(3);
    second.send(reads(5));
    awaitHeld(4);
    first.send(reads(5));
    settle();
    assertEquals(4, disk.held.size());
    assertTrue(server.server.flightBytes() <= BUDGET_BYTES);
  }

  @Test
  void largeRequestWaitsEvenWithNothingElseInFlight() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    first.send(reads(4));
    awaitHeld(4);
    RawPeer large = open();
    large.send(reads(1));
    settle();
    assertEquals(4, disk.held.size());
    disk.held.remove().run();
    first.reply(LARGE_BYTES);
    awaitHeld(4);
  }

  @Test
  void largestRequestComesToItsTurnWhileOthersKeepAskingForLess() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    first.send(reads(4));
    awaitHeld(4);
    RawPeer largest = open();
    largest.send(request(Nbd.CMD_READ, 7, 0, MAX_BYTES));
    settle();
    RawPeer later = open();
    later.send(reads(1));
    settle();
    for (int index = 0; index < 4; index++) {
      assertEquals(4 - index, disk.held.size(), "whoever comes later waits");
      disk.held.remove().run();
      first.reply(LARGE_BYTES);
      settle();
    }
    awaitHeld(1);
    disk.held.remove().run();
    assertEquals(7, largest.reply(MAX_BYTES).cookie());
    awaitHeld(1);
  }

  @Test
  void waitingConnectionGoesOnWhenAnotherFinishes() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    first.send(reads(3));
    awaitHeld(3);
    RawPeer second = open();
    second.send(reads(3));
    awaitHeld(4);
    settle();
    assertEquals(4, disk.held.size());
    disk.held.remove().run();
    first.reply(LARGE_BYTES);
    awaitHeld(4);
    assertEquals(5, disk.started.get(), "one of the second, which nothing of its own has woken");
  }

  @Test
  void connectionThatGoesAwayGivesItsBytesBack() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    first.send(reads(3));
    awaitHeld(3);
    RawPeer second = open();
    second.send(reads(3));
    awaitHeld(4);
    first.close();
    for (int index = 0; index < 3; index++) {
      disk.held.remove().run();
    }
    awaitHeld(3);
  }

  @Test
  void connectionThatGoesAwayWhileItWaitsIsForgotten() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    first.send(reads(3));
    awaitHeld(3);
    RawPeer second = open();
    second.send(reads(3));
    awaitHeld(4);
    settle();
    second.close();
    RawPeer third = open();
    third.send(reads(3));
    settle();
    assertEquals(4, disk.held.size());
    for (int index = 0; index < 4; index++) {
      disk.held.remove().run();
    }
    for (int index = 0; index < 3; index++) {
      first.reply(LARGE_BYTES);
    }
    awaitHeld(3);
  }

  @Test
  void disconnectBehindWaitingRequestsLosesNoReply() throws IOException {
    disk.hold = true;
    RawPeer first = open();
    first.send(reads(3));
    awaitHeld(3);
    RawPeer second = open();
    second.send(RawPeer.concat(reads(6), disc()));
    awaitHeld(4);
    ConnectionEndTest.completeElsewhere(disk);
    ConnectionEndTest.assertAllReplies(second, 6, LARGE_BYTES);
  }

  @Test
  void smallRequestsOfOthersPassWhileTheBudgetIsTaken() throws IOException {
    disk.hold = true;
    open().send(reads(10));
    awaitHeld(4);
    disk.hold = false;
    RawPeer other = open();
    for (int index = 0; index < 1000; index++) {
      other.send(request(Nbd.CMD_READ, index, 0, 4096));
      assertEquals(index, other.reply(4096).cookie());
    }
  }

  /// One that has begun a write of that size and sends no more than its first bytes.
  private RawPeer halfWrite(int lengthBytes) throws IOException {
    RawPeer peer = open();
    peer.send(request(Nbd.CMD_WRITE, 1, 0, lengthBytes), new byte[100]);
    return peer;
  }

  @Test
  void stalledPayloadIsDroppedWhenAnotherWaitsForItsMemory() throws IOException {
    RawPeer stalled = halfWrite(MAX_BYTES);
    settle();
    RawPeer other = open();
    other.send(RawPeer.write(2, 0, new byte[LARGE_BYTES]));
    assertEquals(0, other.reply().error());
    assertTrue(stalled.atEnd());
  }

  @Test
  void allOfManyStalledPayloadsMakeRoom() throws IOException {
    for (int count = 0; count < 10; count++) {
      halfWrite(MAX_BYTES);
    }
    settle();
    assertTrue(server.server.flightBytes() <= BUDGET_BYTES);
    RawPeer other = open();
    other.send(reads(4), disc());
    ConnectionEndTest.assertAllReplies(other, 4, LARGE_BYTES);
  }

  @Test
  void stalledPayloadStaysWhileNobodyWaits() throws IOException {
    RawPeer suspended = halfWrite(MAX_BYTES);
    RawPeer other = open();
    long start = System.nanoTime();
    int count = 0;
    // The server looks several times in the deadline: a few of them have passed.
    while (System.nanoTime() - start < 4 * STALL_DEADLINE.toNanos()) {
      other.send(request(Nbd.CMD_READ, count, 0, 4096));
      assertEquals(count++, other.reply(4096).cookie());
    }
    suspended.send(new byte[MAX_BYTES - 100]);
    assertEquals(0, suspended.reply().error());
  }

  @Test
  void stalledPayloadThatTakesNothingOfTheBudgetStays() throws IOException {
    disk.hold = true;
    RawPeer small = halfWrite(200 << 10);
    RawPeer first = open();
    first.send(reads(6));
    awaitHeld(4);
    Awaitility.await().pollDelay(STALL_DEADLINE.multipliedBy(3)).until(() -> true);
    disk.hold = false;
    small.send(new byte[(200 << 10) - 100]);
    assertEquals(0, small.reply().error());
  }

  @Test
  void payloadThatGoesOnIsNotDroppedWhileAnotherWaits() throws IOException {
    RawPeer slow = halfWrite(MAX_BYTES);
    settle();
    RawPeer other = open();
    other.send(reads(1));
    byte[] piece = new byte[MAX_BYTES / 16];
    for (int sentBytes = 100; sentBytes < MAX_BYTES; sentBytes += piece.length) {
      Awaitility.await().pollDelay(STALL_DEADLINE.dividedBy(4)).until(() -> true);
      slow.send(java.util.Arrays.copyOf(piece, Math.min(piece.length, MAX_BYTES - sentBytes)));
    }
    assertEquals(0, slow.reply().error());
    assertEquals(0, other.reply(LARGE_BYTES).cookie());
  }

  @Test
  void refusedPayloadTakesNothingOfTheBudget() throws IOException {
    disk.hold = true;
    RawPeer stalled = open();
    stalled.send(request(Nbd.CMD_WRITE, 1, MIB, MAX_BYTES), new byte[100]);
    settle();
    open().send(reads(4));
    awaitHeld(4);
  }

  @Test
  void requestThatIsRefusedDoesNotWaitForTheBudget() throws IOException {
    disk.hold = true;
    open().send(reads(4));
    awaitHeld(4);
    RawPeer other = open();
    other.send(request(Nbd.CMD_READ, 1, MIB, MAX_BYTES));
    assertEquals(22, other.reply().error());
    other.send(RawPeer.write(2, 0, new byte[MAX_BYTES + MIB]));
    assertEquals(28, other.reply().error());
  }

  @Test
  void disconnectOfOthersIsNotHeldUpByALargeRequestThatWaits() throws IOException {
    disk.hold = true;
    open().send(reads(8));
    awaitHeld(4);
    open().send(RawPeer.concat(reads(1), disc()));
    settle();
    RawPeer leaving = open();
    leaving.send(disc());
    assertTrue(leaving.atEnd());
  }

  @Test
  void statusIsShortWhenMemoryIs() throws IOException {
    int extentCount = 100_000;
    List<Extent> extents = new ArrayList<>();
    for (int index = 0; index < extentCount; index++) {
      extents.add(new Extent(1, index % 2 == 0 ? 0 : Extent.HOLE | Extent.ZERO));
    }
    disk.statuses = List.of(new ContextExtents("base:allocation", extents));
    try (RawPeer peer = RawPeer.openExtended(server.socket, "base:allocation")) {
      byte[] status = RawPeer.extended(Nbd.CMD_BLOCK_STATUS, 0, 1, 0, extentCount, new byte[0]);
      peer.send(status);
      assertEquals(extentCount, (peer.chunk().data().length - 8) / 16);
      disk.hold = true;
      open().send(reads(8));
      awaitHeld(4);
      disk.hold = false;
      settle();
      peer.send(status);
      assertEquals(WireLimits.SHORT_EXTENTS_MAX, (peer.chunk().data().length - 8) / 16);
    }
  }

  @Test
  void everyRequestOfManyConnectionsIsAnswered() throws Exception {
    ConnectionEndTest.completeElsewhere(disk);
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("test.seed=" + seed);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Integer>> clients = new ArrayList<>();
      for (int client = 0; client < 12; client++) {
        RawPeer peer = open();
        Random random = new Random(seed + client);
        Callable<Integer> session = () -> session(peer, random);
        clients.add(threads.submit(session));
      }
      for (Future<Integer> client : clients) {
        assertEquals(200, client.get());
      }
    }
  }

  private static int session(RawPeer peer, Random random) throws IOException {
    int answered = 0;
    for (int round = 0; round < 20; round++) {
      int[] lengths = new int[10];
      byte[][] requests = new byte[10][];
      for (int index = 0; index < 10; index++) {
        lengths[index] = 1 + random.nextInt(random.nextBoolean() ? 5000 : LARGE_BYTES);
        requests[index] = request(Nbd.CMD_READ, index, 0, lengths[index]);
      }
      peer.send(requests);
      for (int index = 0; index < 10; index++) {
        // Without structured replies a length is known by its cookie only.
        peer.in.readInt();
        assertEquals(0, peer.in.readInt());
        peer.in.skipNBytes(lengths[(int) peer.in.readLong()]);
        answered++;
      }
    }
    return answered;
  }
}
