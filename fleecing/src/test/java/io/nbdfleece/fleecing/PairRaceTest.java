// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Each operation against each other and against itself, at the same moment, on a real engine with
/// a real file: a snapshot yields old data or an error, never new data; the disk holds one of the
/// legal contents; no mark is lost; nothing is left; nothing hangs.
///
/// `-Dtest.rounds=N` plays more rounds of each pair, `-Dtest.pair=DISCARD+RELEASE` one pair,
/// `-Dtest.seed=N` repeats the choices of one round (not the threads).
@Timeout(value = 10, unit = TimeUnit.MINUTES)
final class PairRaceTest {
  private static final int ROUNDS = 150;

  /// An engine is opened for each of these.
  private static final int ROUNDS_PER_STOP = 5;

  static List<Arguments> pairs() {
    String only = System.getProperty("test.pair", "");
    List<Arguments> pairs = new ArrayList<>();
    RacedOperation[] all = RacedOperation.values();
    for (int i = 0; i < all.length; i++) {
      for (int k = i; k < all.length; k++) {
        if (only.isEmpty() || only.equals(all[i] + "+" + all[k])) {
          pairs.add(Arguments.of(all[i], all[k]));
        }
      }
    }
    return pairs;
  }

  @ParameterizedTest(name = "{0}+{1}")
  @MethodSource("pairs")
  void whicheverComesFirstTheOutcomeIsLegal(
      RacedOperation first, RacedOperation second, @TempDir Path directory) throws IOException {
    long replay = Long.getLong("test.seed", -1);
    long firstSeed = replay >= 0 ? replay : Math.abs(System.nanoTime() / 2);
    int rounds = replay >= 0 ? 1 : Integer.getInteger("test.rounds", ROUNDS);
    try (PairRace race = new PairRace(directory, first, second)) {
      long end = firstSeed + (race.stops() ? Math.ceilDiv(rounds, ROUNDS_PER_STOP) : rounds);
      for (long seed = firstSeed; seed < end; seed++) {
        play(race, first + "+" + second, seed);
      }
      System.out.println(
          "PairRaceTest: "
              + (first + "+" + second)
              + ": rounds: "
              + (end - firstSeed)
              + ", in which both overlapped: "
              + race.overlaps());
    }
    assertEquals(List.of(), RaceLeftovers.openIn(directory), "files open after the end");
  }

  private static void play(PairRace race, String pair, long seed) {
    try {
      race.round(new Random(seed));
    } catch (AssertionError | IOException | RuntimeException e) {
      throw new AssertionError(
          pair
              + " failed; repeat: -Dtest=PairRaceTest -Dtest.pair="
              + pair
              + " -Dtest.seed="
              + seed,
          e);
    }
  }
}
