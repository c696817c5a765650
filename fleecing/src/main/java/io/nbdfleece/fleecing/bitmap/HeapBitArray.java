// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.util.concurrent.atomic.AtomicLongArray;
import org.roaringbitmap.RoaringBitmap;

/// Bits in the heap.
public final class HeapBitArray implements BitArray {
  private final long sizeBytes;
  private final int granularityBytes;
  private final AtomicLongArray words;

  public HeapBitArray(long sizeBytes, int granularityBytes) {
    this.sizeBytes = sizeBytes;
    this.granularityBytes = granularityBytes;
    long granules = (sizeBytes + granularityBytes - 1) / granularityBytes;
    this.words = new AtomicLongArray(Math.toIntExact((granules + 63) / 64));
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public int granularityBytes() {
    return granularityBytes;
  }

  @Override
  public void mark(long offsetBytes, long lengthBytes) {
    long last = (offsetBytes + lengthBytes - 1) / granularityBytes;
    for (long granule = offsetBytes / granularityBytes; granule <= last; granule++) {
      long bit = 1L << (granule & 63);
      int word = (int) (granule >> 6);
      if ((words.get(word) & bit) == 0) {
        words.getAndAccumulate(word, bit, (a, b) -> a | b);
      }
    }
  }

  @Override
  public void markAll(GranuleSet set) {
    set.withGranularity(granularityBytes)
        .granules()
        .forEach(
            (int granule) ->
                mark(Integer.toUnsignedLong(granule) * granularityBytes, granularityBytes));
  }

  @Override
  public GranuleSet toSet() {
    RoaringBitmap set = new RoaringBitmap();
    for (int word = 0; word < words.length(); word++) {
      for (long rest = words.get(word); rest != 0; rest &= rest - 1) {
        set.add(word * 64 + Long.numberOfTrailingZeros(rest));
      }
    }
    return GranuleSet.of(sizeBytes, granularityBytes, set);
  }

  @Override
  public long dirtyBytes() {
    return toSet().dirtyBytes();
  }
}
