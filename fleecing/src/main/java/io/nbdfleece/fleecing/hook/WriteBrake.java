// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.block.DelayTimer;
import java.util.concurrent.TimeUnit;

/// Slows guest writes down that make the store fuller, while it is nearly full, so that whoever
/// reads the snapshots has time to free what is held for them. From a point on each such write
/// pauses once, in proportion to how little room is left. Other writes never do. Any thread; nobody
/// waits: a pause is a queued continuation.
public final class WriteBrake {
  /// What a write pauses when there is no room left.
  public static final long PAUSE_NANOS_MAX = TimeUnit.MILLISECONDS.toNanos(100);

  private static final int FULL_PERMILLE = 1000;

  /// Slows nothing down.
  public static final WriteBrake NONE = new WriteBrake(FULL_PERMILLE, 0, new NoTimer());

  private final int fromPermille;
  private final long pauseNanosMax;
  private final DelayTimer timer;

  /// @param fromPermille how full the store is when writes begin to pause; 1000 = they never do
  /// @param pauseNanosMax the pause when it is full
  public WriteBrake(int fromPermille, long pauseNanosMax, DelayTimer timer) {
    if (fromPermille < 0 || fromPermille > FULL_PERMILLE) {
      throw new IllegalArgumentException(
          "fromPermille: " + fromPermille + " (expected: 0 to 1000)");
    }
    this.fromPermille = fromPermille;
    this.pauseNanosMax = pauseNanosMax;
    this.timer = timer;
  }

  /// For how long a write pauses that has made the store so full.
  long pauseNanos(int filledPermille) {
    return filledPermille <= fromPermille
        ? 0
        : pauseNanosMax * (filledPermille - fromPermille) / (FULL_PERMILLE - fromPermille);
  }

  /// Nobody pauses.
  private record NoTimer() implements DelayTimer {
    @Override
    public long nanoTime() {
      return System.nanoTime();
    }

    @Override
    public void after(long delayNanos, Runnable task) {
      task.run();
    }
  }

  /// Has the write go on after its pause, on a thread of the timer's.
  void pause(long nanos, Runnable goOn) {
    timer.after(nanos, goOn);
  }
}
