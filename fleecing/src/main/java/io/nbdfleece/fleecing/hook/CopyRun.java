// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.ClusterStore.RamSlot;
import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Preserving neighbouring clusters together: acquire a RAM slot for each, and fill them as they
/// come, which is all at once while there is room.
final class CopyRun implements ClusterStore.SlotCompletion {
  private final FleecingHook hook;

  /// Of neighbouring clusters, in order; at least one.
  private final List<ClusterCopy> copies;

  /// How many of them have a slot.
  private int suppliedCount;

  private @Nullable Thread starter;

  private CopyRun(FleecingHook hook, List<ClusterCopy> copies) {
    this.hook = hook;
    this.copies = copies;
  }

  /// Starts copies, which are in order.
  static void startAll(FleecingHook hook, List<ClusterCopy> copies) {
    int first = 0;
    for (int i = 1; i <= copies.size(); i++) {
      if (i == copies.size() || copies.get(i).cluster != copies.get(i - 1).cluster + 1) {
        new CopyRun(hook, copies.subList(first, i)).start();
        first = i;
      }
    }
  }

  private void start() {
    starter = Thread.currentThread();
    try {
      hook.store().acquire(copies.size(), this);
    } catch (RuntimeException | Error e) {
      failed(new IOException("internal error: " + e, e));
    }
    starter = null;
  }

  private boolean isStarting() {
    return Thread.currentThread().equals(starter);
  }

  @Override
  public void acquired(List<RamSlot> slots) {
    int first = suppliedCount;
    suppliedCount += slots.size();
    CopyFill fill = new CopyFill(hook, copies.subList(first, suppliedCount), slots);
    if (isStarting()) {
      fill.start();
    } else {
      // The spiller calls: it must go on freeing slots for others and not wait for this disk.
      hook.continueElsewhere(fill::startIfNeeded);
    }
  }

  @Override
  public void failed(IOException error) {
    List<ClusterCopy> left = copies.subList(suppliedCount, copies.size());
    if (isStarting()) {
      left.forEach(copy -> hook.copies().failed(copy, error));
    } else {
      hook.continueElsewhere(() -> left.forEach(copy -> hook.copies().failed(copy, error)));
    }
  }
}
