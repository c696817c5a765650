// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Runs many seeds. `-Dtest.seed=N` replays one (what the guests write is the same, the moments are
/// not), `-Dtest.seeds=N` sets how many, `-Dtest.firstSeed=N` where they begin.
@Timeout(value = 1, unit = TimeUnit.HOURS)
final class BitmapModelTest {
  private static final int SEEDS_DEFAULT = 150;

  @Test
  void noWrittenGranuleIsEverUnmarked(@TempDir Path directory) throws IOException {
    Long replay = Long.getLong("test.seed");
    long first = replay == null ? Long.getLong("test.firstSeed", 1) : replay;
    long last = replay == null ? first + Long.getLong("test.seeds", SEEDS_DEFAULT) - 1 : replay;
    long incrementals = 0;
    long kills = 0;
    long moments = 0;
    for (long seed = first; seed <= last; seed++) {
      Path own = Files.createDirectory(directory.resolve("seed-" + seed));
      try {
        BitmapHistory history = new BitmapHistory(seed, own);
        history.run();
        incrementals += history.incrementals;
        kills += history.kills;
        moments += history.moments();
      } catch (AssertionError | RuntimeException | IOException e) {
        String line =
            "seed " + seed + " failed; replay: -Dtest=BitmapModelTest -Dtest.seed=" + seed;
        System.out.println(line);
        throw new AssertionError(line, e);
      }
      Files.delete(own.resolve("vda.img"));
    }
    System.out.println(
        "BitmapModelTest: seeds: "
            + (last - first + 1)
            + ", incrementals: "
            + incrementals
            + ", kills: "
            + kills
            + ", moments looked at: "
            + moments);
    assertTrue(
        last - first < 20 || (incrementals > 0 && kills > 0), "it does not reach its purpose");
  }
}
