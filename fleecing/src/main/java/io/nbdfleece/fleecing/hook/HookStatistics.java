// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// What a hook has done since it was made.
///
/// @param writes changes completed, failed ones included
/// @param writeErrors changes failed
/// @param preserves clusters preserved
/// @param preservingWrites changes that had to wait for at least one copy
/// @param preserveNanosTotal time they waited until all old clusters were preserved, in ns
/// @param preserveNanosMax the longest of them, in ns
/// @param slowedWrites changes that paused because the store was nearly full
/// @param slowedNanosTotal their pauses, in ns
/// @param budgetStep what is given up now for the budget of guest writes
public record HookStatistics(
    long writes,
    long writeErrors,
    long preserves,
    long preservingWrites,
    long preserveNanosTotal,
    long preserveNanosMax,
    long slowedWrites,
    long slowedNanosTotal,
    BudgetStep budgetStep) {}
