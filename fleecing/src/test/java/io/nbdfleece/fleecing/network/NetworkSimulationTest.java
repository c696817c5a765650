// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.hook.SeedRange;
import io.nbdfleece.fleecing.hook.SimulationCase;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PoolArenaMetric;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.util.ResourceLeakDetector;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Runs many seeds, see [SeedRange]. A seed that fails is shrunk, and the line that replays it is
/// printed, see [SimulationCase].
@Timeout(value = 1, unit = TimeUnit.DAYS)
final class NetworkSimulationTest {
  private static final int SEEDS_DEFAULT = 3_000;

  private final Map<Count, LongAdder> counts = new EnumMap<>(Count.class);

  private enum Count {
    CONNECTIONS,
    GUEST_READS_VERIFIED,
    WRITES,
    WRITES_FORCED,
    FLUSHES,
    GUEST_ERRORS,
    REFUSALS,
    REPEATED_COOKIES,
    SNAPSHOTS,
    SNAPSHOTS_BROKEN,
    SNAPSHOT_READS_VERIFIED,
    SNAPSHOT_ERRORS,
    HALF_CLOSES,
    BREAKS,
    STALLS,
    WAITS_FOR_ROOM,
    POWER_CHECKS,
    SHUTDOWNS
  }

  /// Where buffers come from, and how many of them or of their bytes are in use.
  private record Memory(ByteBufAllocator allocator, LongSupplier used) {
    /// As the product has it.
    static Memory pooled() {
      PooledByteBufAllocator pool = new PooledByteBufAllocator(true, 0, 1, 8192, 8, 0, 0, false);
      return new Memory(
          pool,
          () ->
              pool.metric().directArenas().stream()
                  .mapToLong(PoolArenaMetric::numActiveAllocations)
                  .sum());
    }

    /// Of which the garbage collector finds what a run has left that failed.
    static Memory collected() {
      UnpooledByteBufAllocator heap = new UnpooledByteBufAllocator(true, true, false);
      return new Memory(heap, heap.metric()::usedDirectMemory);
    }
  }

  @Test
  void noClientSeesWrongBytesOrLosesAWriteOrLeavesAnythingBehind() {
    for (Count count : Count.values()) {
      counts.put(count, new LongAdder());
    }
    SeedRange seeds = SeedRange.ofProperties(SEEDS_DEFAULT);
    ResourceLeakDetector.Level level = ResourceLeakDetector.getLevel();
    // What the allocator counts after each run is as sharp, and costs nothing.
    ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.DISABLED);
    try (ErrorLog log = new ErrorLog()) {
      seeds.play(
          () -> {
            Memory memory = Memory.pooled();
            return seed ->
                play(SimulationCase.replayed(seed, NetworkSimulation.OPERATIONS), memory, log);
          });
    } finally {
      ResourceLeakDetector.setLevel(level);
    }
    System.out.println("NetworkSimulationTest: seeds: " + seeds.count() + ", " + counts);
    assertTrue(
        seeds.isReplay()
            || seeds.count() < 1000
            || counts.values().stream().allMatch(count -> count.sum() > 0),
        "the simulation does not reach what it is for");
  }

  private void play(SimulationCase which, Memory memory, ErrorLog log) {
    try {
      count(run(which, memory, log));
    } catch (AssertionError | RuntimeException e) {
      throw which.failure("NetworkSimulationTest", less -> fails(less, log), e);
    }
  }

  private static NetworkSimulation run(SimulationCase which, Memory memory, ErrorLog log) {
    NetworkSimulation simulation = new NetworkSimulation(which, memory.allocator);
    try {
      simulation.run();
    } catch (AssertionError | RuntimeException e) {
      try {
        log.raise();
      } catch (AssertionError cause) {
        cause.addSuppressed(e);
        throw cause;
      }
      throw e;
    }
    log.raise();
    assertEquals(0, memory.used.getAsLong(), "buffers not released");
    return simulation;
  }

  private static boolean fails(SimulationCase which, ErrorLog log) {
    try {
      run(which, Memory.collected(), log);
      return false;
    } catch (AssertionError | RuntimeException e) {
      return true;
    }
  }

  private void count(NetworkSimulation simulation) {
    figures(simulation)
        .forEach((count, value) -> counts.getOrDefault(count, new LongAdder()).add(value));
  }

  private static Map<Count, Long> figures(NetworkSimulation simulation) {
    Tally tally = simulation.tally;
    Map<Count, Long> figures = new EnumMap<>(Count.class);
    figures.put(Count.CONNECTIONS, (long) tally.connections);
    figures.put(Count.GUEST_READS_VERIFIED, (long) tally.guestReads);
    figures.put(Count.WRITES, (long) tally.writes);
    figures.put(Count.WRITES_FORCED, (long) tally.forcedWrites);
    figures.put(Count.FLUSHES, (long) tally.flushes);
    figures.put(Count.GUEST_ERRORS, (long) tally.guestErrors);
    figures.put(Count.REFUSALS, (long) tally.refusals);
    figures.put(Count.REPEATED_COOKIES, (long) tally.repeatedCookies);
    figures.put(Count.SNAPSHOTS, (long) simulation.snapshotsTaken());
    figures.put(Count.SNAPSHOTS_BROKEN, (long) simulation.snapshotsBroken());
    figures.put(Count.SNAPSHOT_READS_VERIFIED, (long) tally.snapshotReads);
    figures.put(Count.SNAPSHOT_ERRORS, (long) tally.snapshotErrors);
    figures.put(Count.HALF_CLOSES, (long) tally.halfCloses);
    figures.put(Count.BREAKS, (long) tally.breaks);
    figures.put(Count.STALLS, (long) tally.stalls);
    figures.put(Count.WAITS_FOR_ROOM, simulation.roomAwaited());
    figures.put(Count.POWER_CHECKS, (long) tally.powerChecks);
    figures.put(Count.SHUTDOWNS, (long) tally.shutdowns);
    return figures;
  }

  @Test
  void aSeedAlwaysDoesTheSame() {
    try (ErrorLog log = new ErrorLog()) {
      for (long seed = 1; seed <= 20; seed++) {
        SimulationCase which = SimulationCase.of(seed, NetworkSimulation.OPERATIONS);
        assertEquals(
            figures(run(which, Memory.collected(), log)),
            figures(run(which, Memory.collected(), log)),
            "seed " + seed);
      }
    }
  }
}
