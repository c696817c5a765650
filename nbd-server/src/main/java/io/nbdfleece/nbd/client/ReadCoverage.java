// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.util.Map;
import java.util.TreeMap;

/// Which bytes of one read the server has spoken for. Chunks nearly always come in order, so the
/// usual state is one number; what comes early waits in a map. Not thread-safe.
final class ReadCoverage {
  /// Far more than a sane server needs, chunks being multiples of 512 bytes, and little memory.
  static final int FRAGMENT_COUNT_MAX = 1 << 16;

  private final TreeMap<Integer, Integer> endByStart = new TreeMap<>();

  /// Everything before it is covered.
  private int prefixEnd;

  /// Adds a range inside the request. Throws if some of it was covered already.
  void add(int start, int length) throws ProtocolViolationException {
    int end = start + length;
    if (start < prefixEnd) {
      throw overlap(start, length);
    }
    Map.Entry<Integer, Integer> before = endByStart.floorEntry(start);
    Map.Entry<Integer, Integer> after = endByStart.ceilingEntry(start);
    if ((before != null && before.getValue() > start) || (after != null && after.getKey() < end)) {
      throw overlap(start, length);
    }
    if (after != null && after.getKey() == end) {
      end = after.getValue();
      endByStart.remove(after.getKey());
    }
    if (start == prefixEnd) {
      prefixEnd = end;
    } else if (before != null && before.getValue() == start) {
      endByStart.put(before.getKey(), end);
    } else {
      endByStart.put(start, end);
    }
    if (endByStart.size() > FRAGMENT_COUNT_MAX) {
      throw new ProtocolViolationException(
          "a read in more than " + FRAGMENT_COUNT_MAX + " scattered chunks");
    }
  }

  boolean covers(int length) {
    return prefixEnd == length;
  }

  /// The first byte not covered.
  int firstMissing() {
    return prefixEnd;
  }

  private static ProtocolViolationException overlap(int start, int length) {
    return new ProtocolViolationException(
        "a chunk over bytes it had sent already: position=" + start + " length=" + length);
  }
}
