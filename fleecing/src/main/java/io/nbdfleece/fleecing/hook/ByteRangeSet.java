// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.Map;
import java.util.TreeMap;

/// A set of bytes as disjoint, non-adjacent ranges. Adds up what clients discard piece by piece, in
/// any order and of any size, until a whole cluster is covered. Not thread-safe.
final class ByteRangeSet {
  /// A client that discards every other byte must not cost us without bound: beyond this many
  /// ranges the lowest is forgotten. That only keeps a copy longer than needed.
  static final int RANGES_MAX = 16_384;

  private final TreeMap<Long, Long> endByStart = new TreeMap<>();

  /// Adds a range and returns the joined range that now contains it.
  Range add(long startBytes, long endBytes) {
    long start = startBytes;
    long end = endBytes;
    Map.Entry<Long, Long> before = endByStart.floorEntry(start);
    if (before != null && before.getValue() >= start) {
      start = before.getKey();
      end = Math.max(end, before.getValue());
    }
    Map.Entry<Long, Long> after = endByStart.ceilingEntry(start);
    while (after != null && after.getKey() <= end) {
      end = Math.max(end, after.getValue());
      endByStart.remove(after.getKey());
      after = endByStart.ceilingEntry(start);
    }
    endByStart.put(start, end);
    if (endByStart.size() > RANGES_MAX) {
      endByStart.pollFirstEntry();
    }
    return new Range(start, end);
  }

  /// Takes the bytes from `startBytes` to `endBytes` out, which lie inside one range of the set.
  void cut(long startBytes, long endBytes) {
    Map.Entry<Long, Long> around = endByStart.floorEntry(startBytes);
    if (around == null || around.getValue() < endBytes) {
      return; // forgotten, see RANGES_MAX
    }
    endByStart.remove(around.getKey());
    if (around.getKey() < startBytes) {
      endByStart.put(around.getKey(), startBytes);
    }
    if (endBytes < around.getValue()) {
      endByStart.put(endBytes, around.getValue());
    }
  }

  int rangeCount() {
    return endByStart.size();
  }

  /// From `startBytes` to before `endBytes`.
  record Range(long startBytes, long endBytes) {}
}
