// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/// Random histories of a store, each on one thread, against a byte array for each entry. A failure
/// names its seed; `-Dtest.seed=N` runs that one alone, `-Dtest.seeds=N` sets how many there are,
/// `-Dtest.firstSeed=N` where they begin.
class TieredStoreModelTest {
  private static final int SEEDS = 3000;

  @Test
  void randomHistoriesKeepEveryByteAndGiveBackEverySlot() {
    Long seed = Long.getLong("test.seed");
    long first = seed == null ? Long.getLong("test.firstSeed", 1) : seed;
    long count = seed == null ? Long.getLong("test.seeds", SEEDS) : 1;
    LongAdder spilled = new LongAdder();
    LongAdder damaged = new LongAdder();
    LongAdder refused = new LongAdder();
    LongAdder resized = new LongAdder();
    LongAdder refusedResizes = new LongAdder();
    LongAdder several = new LongAdder();
    LongStream.range(first, first + count)
        .parallel()
        .forEach(
            each -> {
              StoreHistory history = new StoreHistory(each);
              try {
                history.run();
              } catch (RuntimeException | AssertionError | IOException e) {
                String line =
                    "seed "
                        + each
                        + " failed; replay: -Dtest=TieredStoreModelTest -Dtest.seed="
                        + each;
                System.out.println(line);
                throw new AssertionError(line, e);
              }
              spilled.add(history.spilledBytes());
              damaged.add(history.damagedReadCount());
              refused.add(history.refusedCount());
              resized.add(history.resizedCount());
              several.add(history.severalCount());
              refusedResizes.add(history.refusedResizeCount());
            });
    System.out.println(
        "TieredStoreModelTest: seeds: "
            + count
            + ", MiB spilled: "
            + (spilled.sum() >> 20)
            + ", reads of damaged entries: "
            + damaged
            + ", slots refused: "
            + refused
            + ", resized: "
            + resized
            + ", writes of several clusters: "
            + several);
    if (count > 100) {
      // The histories must reach what they are meant to try.
      assertTrue(spilled.sum() > 0 && damaged.sum() > 0 && refused.sum() > 0);
      assertTrue(resized.sum() > 0 && refusedResizes.sum() > 0);
      assertTrue(several.sum() > 0);
    }
  }
}
