// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/// Runs many seeds. `-Dtest.seed=N` replays one, `-Dtest.seeds=N` sets how many.
final class HookSimulationTest {
  @Test
  void everyByteASnapshotYieldsIsTheByteOfTheFreeze() {
    HookSimulation.BufferArena buffers = new HookSimulation.BufferArena();
    Long replay = Long.getLong("test.seed");
    long first = replay == null ? 1 : replay;
    long last = replay == null ? Long.getLong("test.seeds", 20_000) : replay;
    long snapshots = 0;
    long reads = 0;
    long partialReads = 0;
    long broken = 0;
    long refused = 0;
    long lost = 0;
    long prefetches = 0;
    long prefetchedBytesMax = 0;
    for (long seed = first; seed <= last; seed++) {
      try {
        HookSimulation simulation = new HookSimulation(seed, buffers);
        simulation.run();
        snapshots += simulation.snapshotsTaken;
        reads += simulation.readsVerified;
        partialReads += simulation.partialReads;
        broken += simulation.snapshotsBroken;
        refused += simulation.refusedWrites;
        lost += simulation.lostClusters;
        prefetches += simulation.prefetches;
        prefetchedBytesMax = Math.max(prefetchedBytesMax, simulation.prefetchedBytesMax);
      } catch (AssertionError | RuntimeException e) {
        throw new AssertionError(
            "seed " + seed + " failed; replay: -Dtest=HookSimulationTest -Dtest.seed=" + seed, e);
      }
    }
    System.out.println(
        "simulated seeds: "
            + (last - first + 1)
            + ", snapshots: "
            + snapshots
            + ", reads verified: "
            + reads
            + ", of these of parts: "
            + partialReads
            + ", snapshots broken: "
            + broken
            + ", guest writes refused: "
            + refused
            + ", clusters lost: "
            + lost
            + ", prefetches: "
            + prefetches);
    assertTrue(
        replay != null
            || (reads > last
                && partialReads > 0
                && broken > 0
                && refused > 0
                && lost > 0
                && prefetchedBytesMax > 0),
        "the simulation does not reach what it is for");
  }
}
