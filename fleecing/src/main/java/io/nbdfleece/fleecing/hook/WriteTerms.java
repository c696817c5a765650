// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// What the guests of a disk may have to pay for its snapshots.
///
/// @param brake slows writes down that preserve, while the store is nearly full
/// @param budgetNanos what preserving may add to a write before something is done about it; 0 =
///   anything
/// @param parts what may be spent so that small writes preserve only what they change
public record WriteTerms(WriteBrake brake, long budgetNanos, PartBudget parts) {
  /// Anything, at any speed.
  public static final WriteTerms NONE = new WriteTerms(WriteBrake.NONE, 0);

  public WriteTerms {
    if (budgetNanos < 0) {
      throw new IllegalArgumentException("budgetNanos: " + budgetNanos + " (expected: >= 0)");
    }
  }

  /// Any number of parts.
  public WriteTerms(WriteBrake brake, long budgetNanos) {
    this(brake, budgetNanos, new PartBudget(Long.MAX_VALUE));
  }
}
