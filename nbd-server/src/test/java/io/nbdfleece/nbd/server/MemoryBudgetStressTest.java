// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static io.nbdfleece.nbd.server.RawPeer.request;
import static org.junit.jupiter.api.Assertions.assertEquals;

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
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Many clients that want more than there is, some of which leave in the middle of a write: nobody
/// waits for ever, and in the end nothing is taken. `-Dtest.seed=N` replays.
@Timeout(120)
class MemoryBudgetStressTest {
  private static final int MIB = 1 << 20;
  private static final int CLIENT_COUNT = 12;
  private static final int ROUND_COUNT = 15;
  private static final int BATCH_COUNT = 8;

  @ParameterizedTest
  @ValueSource(ints = {32 * MIB, 48 * MIB})
  void everyRequestIsAnsweredHoweverLittleMemoryThereIs(int budgetBytes) throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("MemoryBudgetStressTest: test.seed=" + seed);
    ServerLimits limits =
        TestServer.LIMITS
            // Those that have been closed count until the server has noticed.
            .withConnectionsMax(CLIENT_COUNT * ROUND_COUNT)
            .withBytesInFlightMax(40 * MIB)
            .withBytesInFlightTotalMax(budgetBytes);
    MemoryExport disk = new MemoryExport(32 * MIB, MemoryExport.WRITABLE);
    try (TestServer server = new TestServer(disk, limits);
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      ConnectionEndTest.completeElsewhere(disk);
      List<Future<Integer>> clients = new ArrayList<>();
      for (int client = 0; client < CLIENT_COUNT; client++) {
        Random random = new Random(seed + client);
        Callable<Integer> session = () -> session(server, threads, random);
        clients.add(threads.submit(session));
      }
      for (Future<Integer> client : clients) {
        assertEquals(ROUND_COUNT * BATCH_COUNT, client.get());
      }
      server.awaitNoConnections();
      Awaitility.await().until(() -> server.server.flightBytes() == 0);
    }
  }

  private static int session(TestServer server, ExecutorService threads, Random random)
      throws Exception {
    int answered = 0;
    for (int round = 0; round < ROUND_COUNT; round++) {
      try (RawPeer peer = server.open()) {
        int[] readBytes = new int[BATCH_COUNT];
        byte[][] batch = new byte[BATCH_COUNT][];
        for (int cookie = 0; cookie < BATCH_COUNT; cookie++) {
          int lengthBytes = length(random);
          if (random.nextInt(3) == 0) {
            batch[cookie] = RawPeer.write(cookie, 0, new byte[lengthBytes]);
          } else {
            readBytes[cookie] = lengthBytes;
            batch[cookie] = request(Nbd.CMD_READ, cookie, 0, lengthBytes);
          }
        }
        // Sent beside the reading: a client that does one after the other would stall itself.
        Future<?> sent =
            threads.submit(
                () -> {
                  peer.send(batch);
                  return true;
                });
        answered += takeReplies(peer, readBytes);
        sent.get();
        if (random.nextBoolean()) {
          peer.send(request(Nbd.CMD_WRITE, 9, 0, length(random)), new byte[random.nextInt(1, 90)]);
        }
      }
    }
    return answered;
  }

  /// Mostly small, often large, rarely all that there is.
  private static int length(Random random) {
    int bytesMax =
        switch (random.nextInt(16)) {
          case 0 -> 32 * MIB;
          case 1, 2, 3, 4, 5 -> 2 * MIB;
          default -> 64 << 10;
        };
    return random.nextInt(bytesMax / 2, bytesMax + 1);
  }

  private static int takeReplies(RawPeer peer, int[] readBytes) throws IOException {
    for (int count = 0; count < BATCH_COUNT; count++) {
      // Without structured replies a length is known by its cookie only.
      peer.in.readInt();
      assertEquals(0, peer.in.readInt());
      peer.in.skipNBytes(readBytes[(int) peer.in.readLong()]);
    }
    return BATCH_COUNT;
  }
}
