// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Runs many seeds: `-Dtest.seeds=N` sets how many, `-Dtest.firstSeed=N` where they begin. A seed
/// that fails is shrunk, and the line that replays it is printed: `-Dtest.seed=N`, with
/// `-Dtest.operations` and `-Dtest.faults` for a part of what it does.
@Timeout(value = 1, unit = TimeUnit.DAYS)
final class HookSimulationTest {
  private static final int SEEDS_DEFAULT = 20_000;

  private final Map<Count, LongAdder> counts = new EnumMap<>(Count.class);

  private enum Count {
    SNAPSHOTS,
    READS_VERIFIED,
    READS_OF_PARTS,
    SNAPSHOTS_BROKEN,
    GUEST_WRITES_REFUSED,
    GUEST_WRITES_FAILED,
    CLUSTERS_LOST,
    READS_OF_LOST,
    PREFETCHES
  }

  @Test
  void everyByteASnapshotYieldsIsTheByteOfTheFreeze() {
    for (Count count : Count.values()) {
      counts.put(count, new LongAdder());
    }
    SeedRange seeds = SeedRange.ofProperties(SEEDS_DEFAULT);
    seeds.play(
        () -> {
          SimulatedBackup.BufferArena buffers = new SimulatedBackup.BufferArena();
          return seed -> play(SimulationCase.replayed(seed, HookSimulation.OPERATIONS), buffers);
        });
    System.out.println("HookSimulationTest: seeds: " + seeds.count() + ", " + counts);
    assertTrue(
        seeds.isReplay()
            || seeds.count() < 1000
            || counts.values().stream().allMatch(count -> count.sum() > 0),
        "the simulation does not reach what it is for");
  }

  private void play(SimulationCase which, SimulatedBackup.BufferArena buffers) {
    HookSimulation simulation;
    try {
      simulation = new HookSimulation(which, buffers);
      simulation.run();
    } catch (AssertionError | RuntimeException e) {
      throw which.failure("HookSimulationTest", less -> fails(less, buffers), e);
    }
    add(Count.SNAPSHOTS, simulation.snapshotsTaken);
    add(Count.READS_VERIFIED, simulation.backup.readsVerified);
    add(Count.READS_OF_PARTS, simulation.backup.partialReads);
    add(Count.SNAPSHOTS_BROKEN, simulation.snapshotsBroken);
    add(Count.GUEST_WRITES_REFUSED, simulation.refusedWrites);
    add(Count.GUEST_WRITES_FAILED, simulation.failedWrites);
    add(Count.CLUSTERS_LOST, simulation.lostClusters);
    add(Count.READS_OF_LOST, simulation.backup.lostReads);
    add(Count.PREFETCHES, simulation.backup.prefetches);
  }

  private void add(Count count, long value) {
    counts.getOrDefault(count, new LongAdder()).add(value);
  }

  private static boolean fails(SimulationCase which, SimulatedBackup.BufferArena buffers) {
    try {
      new HookSimulation(which, buffers).run();
      return false;
    } catch (AssertionError | RuntimeException e) {
      return true;
    }
  }
}
