// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// Counts what has become of a hook's writes. Under the hook's lock.
final class WriteFigures {
  private long writes;
  private long errors;
  private long preservingWrites;
  private long preserveNanosTotal;
  private long preserveNanosMax;
  private long slowedWrites;
  private long slowedNanosTotal;

  void ended(boolean failed) {
    writes++;
    errors += failed ? 1 : 0;
  }

  /// A write has waited for so long until all its old clusters were preserved.
  void preserved(long waitedNanos) {
    preservingWrites++;
    preserveNanosTotal += waitedNanos;
    preserveNanosMax = Math.max(preserveNanosMax, waitedNanos);
  }

  /// A write pauses for so long because the store is nearly full.
  void slowed(long pauseNanos) {
    slowedWrites++;
    slowedNanosTotal += pauseNanos;
  }

  HookStatistics statistics(long preserves, BudgetStep budgetStep) {
    return new HookStatistics(
        writes,
        errors,
        preserves,
        preservingWrites,
        preserveNanosTotal,
        preserveNanosMax,
        slowedWrites,
        slowedNanosTotal,
        budgetStep);
  }
}
