// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Bitmaps and checkpoints over clean stops and `kill -9` of the packaged program, against a model
/// of bytes and sets: no written granule is ever unmarked, none is marked that nobody wrote but for
/// what was in flight, and every incremental leads from its base to its frozen view.
///
/// `-Dtest.kills=N` for more, `-Dtest.seed=N` repeats the choices (the moment of a kill is the
/// machine's).
final class CrashModelTest {
  private static final int KILLS_PER_RUN = 25;

  private final long seed = Long.getLong("test.seed", System.nanoTime());
  private final int kills = Integer.getInteger("test.kills", 50);

  @TempDir private Path directory;

  @Test
  @Timeout(86_400)
  void nothingWrittenIsForgottenOverCrashes() throws IOException {
    int left = kills;
    for (int i = 0; left > 0; i++) {
      long runSeed = seed + i;
      Path place = directory.resolve("run" + i);
      Path _ = Files.createDirectory(place);
      System.out.println("CrashModelTest: -Dtest.seed=" + runSeed + ", kills to go: " + left);
      CrashRun run = new CrashRun(place, new Random(runSeed));
      try {
        run.run(Math.min(left, KILLS_PER_RUN));
      } catch (AssertionError | IOException | RuntimeException e) {
        throw new AssertionError("-Dtest.seed=" + runSeed + "\n" + run.story() + "\n" + e, e);
      }
      left -= KILLS_PER_RUN;
    }
  }
}
