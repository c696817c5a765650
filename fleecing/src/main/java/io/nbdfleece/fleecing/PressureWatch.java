// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.hook.BudgetStep;
import java.util.List;

/// Watches how full the store is, and whether some disk wants it to spill sooner. One thread.
final class PressureWatch {
  private static final List<Integer> TOLD_PERCENTS = List.of(70, 80, 90, 95);

  /// So far below is well below.
  private static final int REARM_PERCENT = 5;

  private final TieredStore store;
  private final EventHub events;

  /// How many of the percents were told and have not been fallen well below of.
  private int told;

  PressureWatch(TieredStore store, EventHub events) {
    this.store = store;
    this.events = events;
  }

  /// Several times a second.
  void look(List<ServedDisk> disks) {
    tellFilling(store.filledPermille());
    store.spillSooner(
        disks.stream()
            .anyMatch(disk -> disk.hook().budgetStep().includes(BudgetStep.SPILL_SOONER)));
  }

  private void tellFilling(int filledPermille) {
    while (told > 0 && filledPermille < (TOLD_PERCENTS.get(told - 1) - REARM_PERCENT) * 10) {
      told--;
    }
    while (told < TOLD_PERCENTS.size() && filledPermille >= TOLD_PERCENTS.get(told) * 10) {
      StoreStatistics statistics = store.statistics();
      events.storeFilling(
          TOLD_PERCENTS.get(told), statistics.usedBytes(), statistics.capacityBytes());
      told++;
    }
  }
}
