// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.DirtyBits;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Bits that record are looked at in place.
@Timeout(60)
final class LiveBitsTest {

  @Test
  void stretchesInPlaceAreThoseOfTheSet() {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("LiveBitsTest: -Dtest.seed=" + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      int granularityBytes = 512 << random.nextInt(4);
      long sizeBytes = 1 + random.nextLong(1L << (20 + random.nextInt(10)));
      try (Arena arena = Arena.ofConfined()) {
        long bytes = MappedBits.bytes(sizeBytes, granularityBytes);
        MappedBits mapped =
            new MappedBits(arena.allocate(bytes, 4096), 0, sizeBytes, granularityBytes);
        HeapBitArray heap = new HeapBitArray(sizeBytes, granularityBytes);
        for (int i = random.nextInt(20); i >= 0; i--) {
          long offset = random.nextLong(sizeBytes);
          long length = Math.min(sizeBytes - offset, 1 + random.nextLong(1L << random.nextInt(27)));
          mapped.mark(offset, length);
          heap.mark(offset, length);
        }
        GranuleSet set = heap.toSet();
        assertEquals(set, mapped.toSet());
        for (DirtyBits bits : List.<DirtyBits>of(heap, mapped, set)) {
          check(set, bits, random);
        }
      }
    }
  }

  /// The oracle looks at one granule after the other.
  private static void check(GranuleSet set, DirtyBits bits, Random random) {
    for (int i = 0; i < 20; i++) {
      long start = random.nextLong(set.sizeBytes());
      long end = start + 1 + random.nextLong(set.sizeBytes() - start);
      assertEquals(first(set, start, end, true), bits.nextDirty(start, end));
      assertEquals(first(set, start, end, false), bits.nextClean(start, end));
    }
  }

  private static long first(GranuleSet set, long start, long end, boolean dirty) {
    long at = start;
    while (at < end && set.isDirty(at) != dirty) {
      at = at - at % set.granularityBytes() + set.granularityBytes();
    }
    return Math.min(at, end);
  }

  @Test
  void oneLookIsBounded() {
    BitArray bits = new HeapBitArray(16L << 40, 64 << 10);
    assertEquals(256L << 30, bits.lookBytesMax());
  }
}
