// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// Which stretches of an export are done. Neighbours become one, so it holds few as long as they
/// are done about in order. Used by one thread at a time.
final class DoneRanges {
  private final TreeMap<Long, Long> endByStart = new TreeMap<>();
  private long totalBytes;

  /// This range is done; parts of it may have been before.
  void add(ByteRange range) {
    long start = range.offsetBytes();
    long end = range.endBytes();
    Map.Entry<Long, Long> touching = endByStart.floorEntry(end);
    while (touching != null && touching.getValue() >= start) {
      start = Math.min(start, touching.getKey());
      end = Math.max(end, touching.getValue());
      totalBytes -= touching.getValue() - touching.getKey();
      endByStart.remove(touching.getKey());
      touching = endByStart.floorEntry(end);
    }
    endByStart.put(start, end);
    totalBytes += end - start;
  }

  /// How many stretches they are.
  int count() {
    return endByStart.size();
  }

  long totalBytes() {
    return totalBytes;
  }

  boolean isEmpty() {
    return endByStart.isEmpty();
  }

  /// Up to where all is done from `offsetBytes` on; `offsetBytes` itself when it is not.
  long endOfDone(long offsetBytes) {
    Map.Entry<Long, Long> before = endByStart.floorEntry(offsetBytes);
    return before == null ? offsetBytes : Math.max(offsetBytes, before.getValue());
  }

  /// Where the next range that is done starts, at or after `offsetBytes`; `limitBytes` if none
  /// starts before that.
  long nextDone(long offsetBytes, long limitBytes) {
    Long start = endByStart.ceilingKey(offsetBytes);
    return start == null ? limitBytes : Math.min(start, limitBytes);
  }

  /// All of it, in order of offset.
  List<ByteRange> ranges() {
    List<ByteRange> ranges = new ArrayList<>(endByStart.size());
    endByStart.forEach((start, end) -> ranges.add(new ByteRange(start, end - start)));
    return ranges;
  }

  /// What is not done of an export of that size, in order of offset.
  List<ByteRange> gaps(long sizeBytes) {
    List<ByteRange> gaps = new ArrayList<>();
    long at = endOfDone(0);
    while (at < sizeBytes) {
      long end = nextDone(at, sizeBytes);
      gaps.add(new ByteRange(at, end - at));
      at = end < sizeBytes ? endOfDone(end) : sizeBytes;
    }
    return gaps;
  }

  void clear() {
    endByStart.clear();
    totalBytes = 0;
  }
}
