// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SeedRange;
import io.nbdfleece.fleecing.hook.SimulationCase;
import java.io.IOException;
import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Runs many seeds, see [SeedRange]. A seed that fails is shrunk, and the line that replays it is
/// printed, see [SimulationCase].
@Timeout(value = 1, unit = TimeUnit.DAYS)
final class EngineSimulationTest {
  private static final int SEEDS_DEFAULT = 600;

  private final Map<Count, LongAdder> counts = new EnumMap<>(Count.class);

  private enum Count {
    WRITES,
    REFUSED_WRITES,
    COMMANDS,
    COMMANDS_REFUSED,
    COMMANDS_FAILED,
    TRANSACTIONS,
    SNAPSHOTS,
    SNAPSHOTS_OF_SEVERAL_DISKS,
    INCREMENTALS,
    SNAPSHOT_READS_VERIFIED,
    SNAPSHOT_ERRORS,
    BITMAP_LOOKS,
    REMOVALS,
    CLOSES,
    KILLS,
    POWER_FAILURES
  }

  /// Off, as the log has a lock that threads of several seeds would meet at.
  private static final class QuietLog implements AutoCloseable {
    private final Logger logger = Logger.getLogger("io.nbdfleece");

    QuietLog() {
      logger.setLevel(Level.OFF);
    }

    @Override
    public void close() {
      logger.setLevel(Level.INFO);
    }
  }

  @Test
  void noSnapshotIsTornNoBitmapForgetsAndNothingHangsOrIsLeft() {
    for (Count count : Count.values()) {
      counts.put(count, new LongAdder());
    }
    SeedRange seeds = SeedRange.ofProperties(SEEDS_DEFAULT);
    try (QuietLog _ = new QuietLog()) {
      seeds.play(
          () ->
              seed ->
                  play(
                      SimulationCase.replayed(seed, EngineSimulation.OPERATIONS, Fault.OF_ENGINE)));
    }
    System.out.println("EngineSimulationTest: seeds: " + seeds.count() + ", " + counts);
    assertTrue(
        seeds.isReplay()
            || seeds.count() < 500
            || counts.values().stream().allMatch(count -> count.sum() > 0),
        "the simulation does not reach what it is for");
  }

  private void play(SimulationCase which) {
    try {
      figures(run(which))
          .forEach((count, value) -> counts.getOrDefault(count, new LongAdder()).add(value));
    } catch (AssertionError | RuntimeException e) {
      throw which.failure("EngineSimulationTest", EngineSimulationTest::fails, e);
    }
  }

  private static EngineSimulation run(SimulationCase which) {
    EngineSimulation simulation = new EngineSimulation(which);
    try {
      simulation.run();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return simulation;
  }

  private static boolean fails(SimulationCase which) {
    try {
      run(which);
      return false;
    } catch (AssertionError | RuntimeException e) {
      return true;
    }
  }

  private static Map<Count, Integer> figures(EngineSimulation simulation) {
    EngineOperator operator = simulation.operator;
    Map<Count, Integer> figures = new EnumMap<>(Count.class);
    figures.put(Count.WRITES, operator.writes.writes);
    figures.put(Count.REFUSED_WRITES, operator.writes.refusedWrites);
    figures.put(Count.COMMANDS, operator.counts.commands);
    figures.put(Count.COMMANDS_REFUSED, operator.counts.refused);
    figures.put(Count.COMMANDS_FAILED, operator.counts.failed);
    figures.put(Count.TRANSACTIONS, operator.counts.transactions);
    figures.put(Count.SNAPSHOTS, operator.counts.snapshots);
    figures.put(Count.SNAPSHOTS_OF_SEVERAL_DISKS, operator.counts.ofSeveralDisks);
    figures.put(Count.INCREMENTALS, operator.counts.incrementals);
    figures.put(Count.SNAPSHOT_READS_VERIFIED, operator.reads.readsVerified);
    figures.put(Count.SNAPSHOT_ERRORS, operator.reads.errors);
    figures.put(Count.BITMAP_LOOKS, operator.counts.looks);
    figures.put(Count.REMOVALS, simulation.removals);
    figures.put(Count.CLOSES, simulation.closes);
    figures.put(Count.KILLS, simulation.kills);
    figures.put(Count.POWER_FAILURES, simulation.powerFailures);
    return figures;
  }

  @Test
  void aSeedAlwaysDoesTheSame() {
    try (QuietLog _ = new QuietLog()) {
      for (long seed = 1; seed <= 20; seed++) {
        SimulationCase which =
            SimulationCase.of(seed, EngineSimulation.OPERATIONS, Fault.OF_ENGINE);
        assertEquals(figures(run(which)), figures(run(which)), "seed " + seed);
      }
    }
  }
}
