// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.List;

/// Hears what an operator should know. Called without locks, on any thread; must not wait.
public interface HookListener {

  /// A snapshot of this disk has been broken; it yields no data any more.
  void snapshotBroken(String disk, String snapshot, String reason);

  /// One cluster could not be read, from the disk when it had to be preserved or from the store
  /// when it was asked for: reads of it fail in these snapshots, which are whole else.
  void clusterLost(
      String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason);

  /// A guest's write has waited for so long now for old data to be preserved. Told once, and again
  /// only after no write waited for long.
  ///
  /// @param offsetBytes the cluster that it waits for
  default void guestWriteSlow(String disk, long offsetBytes, long waitedNanos) {}

  /// Something is given up, or taken up again, for the budget of guest writes.
  ///
  /// @param reason for people
  default void budgetStep(String disk, BudgetStep step, String reason) {}
}
