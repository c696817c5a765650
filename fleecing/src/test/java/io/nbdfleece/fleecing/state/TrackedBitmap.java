// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Optional;

/// What a bitmap has to hold, in units of [GuestDisk].
final class TrackedBitmap {
  BitmapRecord record;

  /// Empty for one that does not record.
  Optional<BitArray> bits;

  /// Written since its beginning.
  final BitSet must = new BitSet();

  /// The disk at its beginning: what is different now must be marked too, however it became so.
  final int[] baseline;

  TrackedBitmap(BitmapRecord record, Optional<BitArray> bits, int[] baseline) {
    this.record = record;
    this.bits = bits;
    this.baseline = baseline.clone();
  }

  TrackedBitmap copy(BitmapRecord other, Optional<BitArray> otherBits) {
    TrackedBitmap copy = new TrackedBitmap(other, otherBits, baseline);
    copy.must.or(must);
    return copy;
  }

  void wrote(long offsetBytes, long lengthBytes) {
    must.set(
        (int) (offsetBytes / GuestDisk.UNIT_BYTES),
        (int) ((offsetBytes + lengthBytes - 1) / GuestDisk.UNIT_BYTES) + 1);
  }

  void checkHeldBy(GranuleSet set, int[] disk) {
    BitSet due = (BitSet) must.clone();
    if (bits.isPresent()) {
      for (int i = 0; i < disk.length; i++) {
        if (disk[i] != baseline[i]) {
          due.set(i);
        }
      }
    }
    for (int i = due.nextSetBit(0); i >= 0; i = due.nextSetBit(i + 1)) {
      long granule = (long) i * GuestDisk.UNIT_BYTES / set.granularityBytes();
      if (!set.granules().contains((int) granule)) {
        throw new AssertionError(
            record.name()
                + ": unit "
                + i
                + " was written and is not marked (must: "
                + must.get(i)
                + ", disk: "
                + disk[i]
                + ", baseline: "
                + baseline[i]
                + ", of "
                + Arrays.hashCode(disk)
                + ")");
      }
    }
  }
}
