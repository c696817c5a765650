// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.hook.BudgetStep;

/// What happened on a disk since it was added.
///
/// @param writes guest writes, trims and zeroings completed
/// @param writeErrors of these, failed
/// @param preserves clusters preserved
/// @param preservingWrites guest writes that had to preserve first
/// @param preserveNanosTotal time that guest writes spent on preserving, in ns
/// @param preserveNanosMax the longest of them, in ns
/// @param clients connections that have the disk open
/// @param slowedWrites guest writes that paused because the store was nearly full
/// @param slowedNanosTotal their pauses, in ns
/// @param budgetStep what is given up now for the budget of guest writes
public record DiskStatistics(
    long writes,
    long writeErrors,
    long preserves,
    long preservingWrites,
    long preserveNanosTotal,
    long preserveNanosMax,
    int clients,
    long slowedWrites,
    long slowedNanosTotal,
    BudgetStep budgetStep) {

  /// Of a disk whose writes were never slowed down, and kept within their budget.
  public DiskStatistics(
      long writes,
      long writeErrors,
      long preserves,
      long preservingWrites,
      long preserveNanosTotal,
      long preserveNanosMax,
      int clients) {
    this(
        writes,
        writeErrors,
        preserves,
        preservingWrites,
        preserveNanosTotal,
        preserveNanosMax,
        clients,
        0,
        0,
        BudgetStep.NORMAL);
  }
}
