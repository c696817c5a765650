// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// What the writes of one disk pay for its snapshots: how much it is, for how long each has to
/// pause, and what is given up so that it is not too much. Guarded by the hook's lock.
final class WriteCosts {
  private final WriteFigures figures = new WriteFigures();
  private final WriteBrake brake;
  private final WriteBudget budget;

  WriteCosts(WriteTerms terms) {
    this.brake = terms.brake();
    this.budget = new WriteBudget(terms.budgetNanos());
  }

  /// All old clusters of the write are preserved, or it is refused.
  ///
  /// @param filledPermille how full the store is
  /// @return for how long it has to pause now; at most once more than 0
  long allPreserved(GuestWrite write, long nowNanos, int filledPermille) {
    if (write.copyingSinceNanos != 0) {
      long waitedNanos = nowNanos - write.copyingSinceNanos;
      write.copyingSinceNanos = 0;
      write.waitedNanos = waitedNanos;
      figures.preserved(waitedNanos);
    }
    if (!write.preserves || write.braked || write.isRefused()) {
      return 0;
    }
    write.braked = true;
    long pauseNanos = brake.pauseNanos(filledPermille);
    if (pauseNanos > 0) {
      figures.slowed(pauseNanos);
    }
    return pauseNanos;
  }

  /// It waits for snapshots that read where it writes.
  void awaitsReads(GuestWrite write, long nowNanos) {
    write.readsAwaitedSinceNanos = nowNanos == 0 ? 1 : nowNanos;
  }

  /// It waits for nothing any more.
  ///
  /// @param nowNanos only looked at when it has waited for reads
  void admitted(GuestWrite write, long nowNanos) {
    if (write.readsAwaitedSinceNanos != 0) {
      write.waitedNanos += nowNanos - write.readsAwaitedSinceNanos;
    }
    if (write.waitedNanos != 0) {
      budget.waited(write.waitedNanos);
    }
  }

  void ended(boolean failed) {
    figures.ended(failed);
  }

  WriteBudget budget() {
    return budget;
  }

  HookStatistics statistics(long preserves) {
    return figures.statistics(preserves, budget.step());
  }
}
