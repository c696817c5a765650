// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.PoolArenaMetric;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.IOException;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Clients that break the protocol in every way there is a seed for. `-Dtest.seed=N` replays one
/// session, `-Dtest.connections=N` sets how many there are in all.
@Timeout(900)
final class ServerFuzzTest {
  private static final int CONNECTIONS = Integer.getInteger("test.connections", 200_000);

  private static final List<ServerLimits> LIMITS =
      List.of(
          TestServer.LIMITS.withOptionsMax(100),
          TestServer.LIMITS
              .withOptionsMax(100)
              .withRequestsInFlightMax(4)
              .withBytesInFlightMax(20_000)
              .withExtentsMax(3));

  private static long[] seeds(long first, long count) {
    Long replay = Long.getLong("test.seed");
    return replay == null ? LongStream.range(first, first + count).toArray() : new long[] {replay};
  }

  private static AssertionError failed(long seed, Throwable why) {
    return new AssertionError(
        "seed " + seed + " failed; replay: -Dtest=ServerFuzzTest -Dtest.seed=" + seed, why);
  }

  private static long activeAllocations(PooledByteBufAllocator allocator) {
    return allocator.metric().directArenas().stream()
        .mapToLong(PoolArenaMetric::numActiveAllocations)
        .sum();
  }

  @Test
  void noSessionBreaksAConnectionWithoutASocket() throws IOException {
    PooledByteBufAllocator allocator = new PooledByteBufAllocator(true, 0, 1, 8192, 5, 0, 0, false);
    long first = Long.getLong("test.firstSeed", 1);
    long[] seeds = seeds(first, CONNECTIONS - CONNECTIONS / 10);
    int damaged = 0;
    try (LoudLog log = new LoudLog()) {
      for (long seed : seeds) {
        try {
          SplittableRandom random = new SplittableRandom(seed);
          FuzzScript script = new FuzzScript(random);
          damaged += script.damaged ? 1 : 0;
          new EmbeddedSession(random, LIMITS.get(random.nextInt(LIMITS.size())), allocator)
              .play(script);
          assertEquals(0, activeAllocations(allocator), "buffers not released");
          log.assertSilent("logged");
        } catch (AssertionError | RuntimeException e) {
          throw failed(seed, e);
        }
      }
    }
    System.out.println(
        "ServerFuzzTest: " + seeds.length + " sessions without a socket, damaged: " + damaged);
    assertTrue(seeds.length == 1 || damaged > seeds.length / 2);
  }
}
