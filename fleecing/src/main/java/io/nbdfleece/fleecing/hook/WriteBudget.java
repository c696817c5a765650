// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Whether snapshots hold the guest writes of one disk up for longer than they may, and what is
/// given up for that. Guarded by the hook's lock.
///
/// ```
///   NORMAL ──1──▶ SPILL_SOONER ──2──▶ ESSENTIALS_ONLY ──5──▶ BREAK_SNAPSHOTS
///      ◀────10────      ◀─────────10────────      ◀────at once────
/// ```
///
/// The numbers are windows of a second, one after the other, that were over the budget (to the
/// right) or within it (to the left). A window is over it when more than one in a hundred of the
/// writes that had to wait, for old data to be preserved or for a snapshot's read of the disk,
/// waited for longer, or one of them waits now for longer already.
final class WriteBudget {
  private static final long WINDOW_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final int CALM_WINDOWS = 10;
  private static final int OVER_SHARE = 100;

  private final long budgetNanos;
  private BudgetStep step = BudgetStep.NORMAL;
  private boolean begun;
  private long windowSinceNanos;
  private int overWindows;
  private int calmWindows;

  // Of the window:
  private long writes;
  private long overWrites;
  private long longestNanos;
  private boolean waitsNow;

  /// @param budgetNanos 0 = whatever they take is right
  WriteBudget(long budgetNanos) {
    this.budgetNanos = budgetNanos;
  }

  BudgetStep step() {
    return step;
  }

  /// A write has waited for so long until it could change the disk.
  void waited(long waitedNanos) {
    writes++;
    if (waitedNanos > budgetNanos) {
      overWrites++;
    }
    longestNanos = Math.max(longestNanos, waitedNanos);
  }

  /// Takes a look, several times a second.
  ///
  /// @param oldestWaitNanos for how long the write waits that has waited longest; 0 = none does
  /// @param mayBreak whether there are snapshots that may be broken
  /// @return the step that comes now, or null when nothing changes
  @Nullable Change look(long nowNanos, long oldestWaitNanos, boolean mayBreak) {
    if (budgetNanos == 0) {
      return null;
    }
    if (!begun) {
      begun = true;
      windowSinceNanos = nowNanos;
    }
    if (oldestWaitNanos > budgetNanos) {
      waitsNow = true;
      longestNanos = Math.max(longestNanos, oldestWaitNanos);
    }
    if (nowNanos - windowSinceNanos < WINDOW_NANOS) {
      return null;
    }
    Change change = waitsNow || overWrites * OVER_SHARE > writes ? over(mayBreak) : calm();
    windowSinceNanos = nowNanos;
    writes = 0;
    overWrites = 0;
    longestNanos = 0;
    waitsNow = false;
    return change;
  }

  private @Nullable Change over(boolean mayBreak) {
    calmWindows = 0;
    overWindows++;
    return switch (step) {
      case NORMAL -> up(1, BudgetStep.SPILL_SOONER);
      case SPILL_SOONER -> up(2, BudgetStep.ESSENTIALS_ONLY);
      case ESSENTIALS_ONLY -> mayBreak ? up(5, BudgetStep.BREAK_SNAPSHOTS) : null;
      case BREAK_SNAPSHOTS -> null;
    };
  }

  private @Nullable Change up(int windows, BudgetStep next) {
    if (overWindows < windows) {
      return null;
    }
    overWindows = 0;
    // The snapshots that were there are gone; the next ones have a chance.
    step = next == BudgetStep.BREAK_SNAPSHOTS ? BudgetStep.ESSENTIALS_ONLY : next;
    String what =
        overWrites > 0 ? overWrites + " of " + writes + " writes waited" : "a write waits";
    return new Change(
        next,
        what
            + " longer than "
            + millis(budgetNanos)
            + " ms for snapshots, up to "
            + millis(longestNanos)
            + " ms");
  }

  private @Nullable Change calm() {
    overWindows = 0;
    calmWindows++;
    if (step == BudgetStep.NORMAL || calmWindows < CALM_WINDOWS) {
      return null;
    }
    calmWindows = 0;
    step = step == BudgetStep.SPILL_SOONER ? BudgetStep.NORMAL : BudgetStep.SPILL_SOONER;
    return new Change(
        step, "snapshots kept within " + millis(budgetNanos) + " ms for " + CALM_WINDOWS + " s");
  }

  private static long millis(long nanos) {
    return TimeUnit.NANOSECONDS.toMillis(nanos);
  }

  /// @param reason for people
  record Change(BudgetStep step, String reason) {}
}
