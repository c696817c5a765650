// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/// Latencies with about 3 % precision: 32 buckets for each power of two. Any thread.
final class LatencyHistogram {
  private static final int SUB_BITS = 5;
  private static final int SUB_MASK = (1 << SUB_BITS) - 1;

  private final AtomicLongArray counts = new AtomicLongArray(64 << SUB_BITS);
  private final AtomicLong total = new AtomicLong();
  private final AtomicLong max = new AtomicLong();

  void record(long nanos) {
    counts.incrementAndGet(bucketOf(Math.max(0, nanos)));
    total.incrementAndGet();
    max.accumulateAndGet(nanos, Math::max);
  }

  long count() {
    return total.get();
  }

  long maxNanos() {
    return max.get();
  }

  /// The latency that `fraction` (0 to 1) of all did not pass; 0 when there are none.
  long percentileNanos(double fraction) {
    long wanted = (long) Math.ceil(fraction * total.get());
    long seen = 0;
    for (int bucket = 0; bucket < counts.length(); bucket++) {
      seen += counts.get(bucket);
      if (seen >= wanted && seen > 0) {
        return Math.min(upperBound(bucket), max.get());
      }
    }
    return max.get();
  }

  private static int bucketOf(long nanos) {
    if (nanos < 1 << SUB_BITS) {
      return (int) nanos;
    }
    int shift = 63 - SUB_BITS - Long.numberOfLeadingZeros(nanos);
    return ((shift + 1) << SUB_BITS) + (int) ((nanos >>> shift) & SUB_MASK);
  }

  private static long upperBound(int bucket) {
    if (bucket < 1 << SUB_BITS) {
      return bucket;
    }
    int shift = (bucket >> SUB_BITS) - 1;
    long first = ((1L << SUB_BITS) | (bucket & SUB_MASK)) << shift;
    return first + (1L << shift) - 1;
  }
}
