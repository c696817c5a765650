// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import org.roaringbitmap.RoaringBitmap;

/// Gives out entry numbers, the lowest free one first, so that the disk tier stays dense.
///
/// Not thread-safe: guarded by the store's lock.
final class EntryNumbers {
  /// Free numbers below `limit`.
  private final RoaringBitmap free = new RoaringBitmap();

  /// Numbers from here on were never given out.
  private int limit;

  int take() {
    if (free.isEmpty()) {
      if (limit == Integer.MAX_VALUE) {
        throw new IllegalStateException("all " + limit + " entry numbers are in use");
      }
      return limit++;
    }
    int entry = free.first();
    free.remove(entry);
    return entry;
  }

  void giveBack(int first, int count) {
    assert !isFree(first) : first;
    free.add((long) first, (long) first + count);
  }

  boolean isFree(int entry) {
    return entry >= limit || free.contains(entry);
  }
}
