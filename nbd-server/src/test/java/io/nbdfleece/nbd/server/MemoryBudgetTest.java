// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.disc;
import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import java.io.IOException;
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

/// What all connections together may have in flight.
class MemoryBudgetTest {
  private static final int MIB = 1 << 20;

  /// Four reads of 1 MiB, with their headers, and less than five.
  private static final int BUDGET_BYTES = 4 * MIB + MIB / 2;

  private final MemoryExport disk = new MemoryExport(MIB, MemoryExport.WRITABLE);
  private final List<RawPeer> peers = new ArrayList<>();
  private final TestServer server;

  MemoryBudgetTest() throws IOException {
    server =
        new TestServer(
            disk,
            ServerLimits.defaults()
                .withEventLoopCount(2)
                .withConnectionsMax(16)
                .withBytesInFlightTotalMax(BUDGET_BYTES));
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
    return ConnectionEndTest.reads(count, MIB);
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
  void connectionWithNothingInFlightMayAlwaysBeginOne() throws IOException {
    disk.hold = true;
    open().send(reads(10));
    awaitHeld(4);
    for (int index = 1; index <= 5; index++) {
      open().send(reads(2));
      awaitHeld(4 + index);
    }
    settle();
    assertEquals(9, disk.held.size());
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
    first.reply(MIB);
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
    awaitHeld(5);
    for (int index = 0; index < 4; index++) {
      disk.held.remove().run();
    }
    for (int index = 0; index < 3; index++) {
      first.reply(MIB);
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
    ConnectionEndTest.assertAllReplies(second, 6, MIB);
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
        lengths[index] = 1 + random.nextInt(random.nextBoolean() ? 5000 : MIB);
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
