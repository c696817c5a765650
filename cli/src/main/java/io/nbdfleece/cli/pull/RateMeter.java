// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.util.ArrayDeque;
import java.util.Deque;

/// Rate over the last seconds, so that a stall shows and an old burst does not. Used by one thread.
final class RateMeter {
  private static final long WINDOW_NANOS = 5_000_000_000L;
  private static final long STEP_NANOS = 100_000_000L;

  private final Deque<Sample> samples = new ArrayDeque<>();

  /// @param bytes done already
  RateMeter(long startNanos, long bytes) {
    samples.addLast(new Sample(startNanos, bytes));
  }

  /// Notes how many bytes are done at this time; times do not go back.
  void note(long nanos, long bytes) {
    Sample last = samples.getLast();
    if (nanos - last.nanos < STEP_NANOS) {
      return;
    }
    samples.addLast(new Sample(nanos, bytes));
    while (samples.size() > 2 && nanos - samples.getFirst().nanos > WINDOW_NANOS) {
      samples.removeFirst();
    }
  }

  /// Bytes per second; 0 while nothing can be said.
  double bytesPerSecond() {
    Sample first = samples.getFirst();
    Sample last = samples.getLast();
    return last.nanos == first.nanos
        ? 0
        : (last.bytes - first.bytes) * 1e9 / (last.nanos - first.nanos);
  }

  private record Sample(long nanos, long bytes) {}
}
