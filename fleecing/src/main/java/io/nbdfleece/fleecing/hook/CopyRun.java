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

  /// What comes while it starts, and is seen to by the same thread afterwards: the store may be
  /// telling others meanwhile, and they must not wait for this disk.
  private @Nullable CopyFill ready;

  private @Nullable IOException refusal;

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
    CopyFill fill = ready;
    if (fill != null) {
      fill.start();
    }
    IOException error = refusal;
    if (error != null) {
      failLeft(error);
    }
  }

  private boolean isStarting() {
    return Thread.currentThread().equals(starter);
  }

  @Override
  public void acquired(List<RamSlot> slots) {
    int first = suppliedCount;
    suppliedCount += slots.size();
    CopyFill fill = new CopyFill(hook, copies.subList(first, suppliedCount), slots);
    if (isStarting() && ready == null) {
      ready = fill;
    } else {
      hook.continueElsewhere(fill::startIfNeeded);
    }
  }

  @Override
  public void failed(IOException error) {
    if (isStarting()) {
      refusal = error;
    } else {
      hook.continueElsewhere(() -> failLeft(error));
    }
  }

  private void failLeft(IOException error) {
    for (ClusterCopy copy : copies.subList(suppliedCount, copies.size())) {
      hook.copies().failed(copy, error);
    }
  }
}
