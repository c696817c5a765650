// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Power failures at every step of random histories. `-Dtest.seed=N` replays one history,
/// `-Dtest.crashAt=N` with one of its steps alone; `-Dtest.seeds=N` sets how many there are,
/// `-Dtest.firstSeed=N` where they begin.
@Timeout(value = 1, unit = TimeUnit.DAYS)
final class PowerFailureTest {
  private static final int ACTIONS = 80;

  @Test
  void noGranuleThatWasWrittenIsUnmarkedAfterAPowerFailureAtAnyStep() throws IOException {
    Long replay = Long.getLong("test.seed");
    long first = replay == null ? Long.getLong("test.firstSeed", 1) : replay;
    long last = replay == null ? first + Long.getLong("test.seeds", 30) - 1 : replay;
    long histories = 0;
    long crashes = 0;
    long waited = 0;
    long covered = 0;
    long kills = 0;
    long cleanEnds = 0;
    for (long seed = first; seed <= last; seed++) {
      StateHistory whole = run(seed, Integer.MAX_VALUE);
      for (int crashAt = firstStep(); crashAt <= lastStep(whole.steps()); crashAt++) {
        StateHistory history = run(seed, crashAt);
        histories++;
        crashes += history.crashes;
        waited += history.waited;
        covered += history.covered;
        kills += history.kills;
        cleanEnds += history.cleanEnds;
      }
    }
    System.out.println(
        "simulated histories: "
            + histories
            + ", power failures: "
            + crashes
            + ", kills: "
            + kills
            + ", clean ends: "
            + cleanEnds
            + ", writes that waited: "
            + waited
            + ", that did not: "
            + covered);
    assertTrue(
        last - first < 5
            || (crashes >= histories && kills > 0 && cleanEnds > 0 && covered > waited),
        "the simulation does not reach what it is for");
  }

  @Test
  void transactionOfSeveralDisksIsOnAllOrOnNoneAfterAPowerFailureAtAnyStep() throws IOException {
    Long replay = Long.getLong("test.seed");
    long first = replay == null ? Long.getLong("test.firstSeed", 1) : replay;
    long last = replay == null ? first + Long.getLong("test.seeds", 10) - 1 : replay;
    int histories = 0;
    int crashes = 0;
    int kills = 0;
    int takenOver = 0;
    int undone = 0;
    int late = 0;
    for (long seed = first; seed <= last; seed++) {
      int steps = runJoint(seed, Integer.MAX_VALUE).steps();
      for (int crashAt = firstStep(); crashAt <= lastStep(steps); crashAt++) {
        JointHistory history = runJoint(seed, crashAt);
        histories++;
        crashes += history.crashes;
        kills += history.kills;
        takenOver += history.takenOver;
        undone += history.undone;
        late += history.late;
      }
    }
    System.out.println(
        "simulated histories of several disks: "
            + histories
            + ", power failures: "
            + crashes
            + ", kills: "
            + kills
            + ", lists taken over at a start: "
            + takenOver
            + ", undone: "
            + undone
            + ", of those at a later start: "
            + late);
    assertTrue(
        last - first < 5
            || (crashes >= histories && kills > 0 && takenOver > 0 && undone > 0 && late > 0),
        "the simulation does not reach what it is for");
  }

  private static int firstStep() {
    return Integer.getInteger("test.crashAt", 1);
  }

  private static int lastStep(int steps) {
    return Math.min(steps, Integer.getInteger("test.crashAt", steps));
  }

  private interface History {
    void run() throws IOException;
  }

  private static void run(long seed, int crashAt, History history) {
    try {
      history.run();
    } catch (AssertionError | RuntimeException | IOException e) {
      String line =
          "seed "
              + seed
              + " failed; replay: -Dtest=PowerFailureTest -Dtest.seed="
              + seed
              + (crashAt == Integer.MAX_VALUE ? "" : " -Dtest.crashAt=" + crashAt);
      System.out.println(line);
      throw new AssertionError(line, e);
    }
  }

  private static JointHistory runJoint(long seed, int crashAt) throws IOException {
    JointHistory history = new JointHistory(seed, crashAt);
    run(seed, crashAt, () -> history.run(ACTIONS / 2));
    return history;
  }

  private static StateHistory run(long seed, int crashAt) throws IOException {
    StateHistory history = new StateHistory(seed, crashAt);
    run(seed, crashAt, () -> history.run(ACTIONS));
    return history;
  }
}
