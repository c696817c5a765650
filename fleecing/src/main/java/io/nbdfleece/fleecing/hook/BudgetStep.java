// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// How much is given up so that guest writes keep within their budget, the least first.
public enum BudgetStep {
  /// Nothing.
  NORMAL,
  /// RAM for what is preserved next: half of it is kept free.
  SPILL_SOONER,
  /// Also all that is not needed: nothing is prefetched.
  ESSENTIALS_ONLY,
  /// Also the snapshots of the disk. Lasts but a moment: then they are gone.
  BREAK_SNAPSHOTS;

  /// Whether as much is given up as by the other.
  public boolean includes(BudgetStep other) {
    return compareTo(other) >= 0;
  }
}
