// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/// Random histories of a store on one thread against a byte array for each entry. A failure names
/// its seed; `-Dtest.seed=N` runs that one alone.
class TieredStoreModelTest {
  private static final int SEEDS = 3000;

  @Test
  void randomHistoriesKeepEveryByteAndGiveBackEverySlot() throws Exception {
    Long seed = Long.getLong("test.seed");
    long first = seed == null ? 1 : seed;
    long last = seed == null ? SEEDS : seed;
    long spilled = 0;
    long damaged = 0;
    long refused = 0;
    long resized = 0;
    long refusedResizes = 0;
    for (long each = first; each <= last; each++) {
      StoreHistory history = new StoreHistory(each);
      try {
        history.run();
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("seed " + each + " (replay: -Dtest.seed=" + each + ")", e);
      }
      spilled += history.spilledBytes();
      damaged += history.damagedReadCount();
      refused += history.refusedCount();
      resized += history.resizedCount();
      refusedResizes += history.refusedResizeCount();
    }
    if (seed == null) {
      // The histories must reach what they are meant to try.
      assertTrue(spilled > 0 && damaged > 0 && refused > 0);
      assertTrue(resized > 0 && refusedResizes > 0);
    }
  }
}
