// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.hook.PartBudget;
import io.nbdfleece.fleecing.hook.WriteBrake;
import io.nbdfleece.fleecing.hook.WriteTerms;
import java.time.Duration;

/// What guests may have to pay for snapshots.
///
/// @param slowFromPercent how full RAM and disk tier are when guest writes that preserve begin to
///   pause, longer the fuller they are; 100 = they never do
/// @param writeBudget what preserving may add to a guest write before things are given up for it;
///   zero = anything. Pauses are no longer than that, and not counted
public record GuestFirst(int slowFromPercent, Duration writeBudget) {
  /// Of the heap that there may be: one that is just large enough for the disks has this to spare.
  private static final int HEAP_SHARE_OF_PARTS = 8;

  /// Pauses from 80 % on, and no budget.
  public static final GuestFirst USUAL = new GuestFirst(80, Duration.ZERO);

  public GuestFirst {
    if (slowFromPercent < 1 || slowFromPercent > 100) {
      throw new IllegalArgumentException(
          "slow-from: " + slowFromPercent + " (expected: percent, 1 to 100; 100 = never)");
    }
    if (writeBudget.isNegative()) {
      throw new IllegalArgumentException("write-budget: " + writeBudget + " (expected: >= 0)");
    }
  }

  WriteTerms terms(DelayTimer timer) {
    long budgetNanos = writeBudget.toNanos();
    long pauseNanosMax =
        budgetNanos == 0
            ? WriteBrake.PAUSE_NANOS_MAX
            : Math.min(budgetNanos, WriteBrake.PAUSE_NANOS_MAX);
    return new WriteTerms(
        new WriteBrake(slowFromPercent * 10, pauseNanosMax, timer),
        budgetNanos,
        new PartBudget(Runtime.getRuntime().maxMemory() / HEAP_SHARE_OF_PARTS));
  }
}
