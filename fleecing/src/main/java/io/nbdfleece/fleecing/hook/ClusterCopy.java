// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Preserving one cluster: acquire a RAM slot, read the old content into it, hand it to the store.
/// There is one at a time per cluster; every write to the cluster waits for it.
///
/// It counts only while the hook knows it (it stands in the hook's table of copies). When the last
/// snapshot that needed the cluster ends, or a deadline passes, the hook forgets it: the cluster
/// may change from then on, so what the copy reads is worthless and is thrown away.
final class ClusterCopy implements ClusterStore.SlotCompletion, Completion {
  private final FleecingHook hook;
  final int cluster;
  final long startedNanos;

  /// Guarded by the hook's lock.
  final List<GuestWrite> waiters = new ArrayList<>(2);

  private @Nullable Thread starter;
  private ClusterStore.@Nullable RamSlot slot;

  ClusterCopy(FleecingHook hook, int cluster, long startedNanos) {
    this.hook = hook;
    this.cluster = cluster;
    this.startedNanos = startedNanos;
  }

  void start() {
    starter = Thread.currentThread();
    try {
      hook.store().acquire(this);
    } catch (RuntimeException | Error e) {
      failed(new IOException("internal error: " + e, e));
    }
    starter = null;
  }

  /* The spiller may call: it must go on freeing slots for others and not wait for this disk. */
  private void here(Runnable next) {
    if (Thread.currentThread().equals(starter)) {
      next.run();
    } else {
      hook.continueElsewhere(next);
    }
  }

  @Override
  public void acquired(ClusterStore.RamSlot free) {
    slot = free;
    here(
        () -> {
          try {
            readOldContent(free);
          } catch (RuntimeException | Error e) {
            failed(new IOException("internal error: " + e, e));
          }
        });
  }

  private void readOldContent(ClusterStore.RamSlot free) {
    if (!hook.copies().knows(this)) {
      hook.store().abandon(free);
      return;
    }
    hook.child().read(hook.geometry().offsetOf(cluster), toFill(free, hook, cluster), this);
  }

  /// The part of a slot that the disk has to fill; the rest is zeroes.
  static ByteBuffer toFill(ClusterStore.RamSlot slot, FleecingHook hook, int cluster) {
    ByteBuffer bytes = slot.buffer().clear();
    int lengthBytes = hook.geometry().lengthOf(cluster);
    for (int i = lengthBytes; i < bytes.capacity(); i++) {
      bytes.put(i, (byte) 0); // the last cluster may be short
    }
    return bytes.limit(lengthBytes);
  }

  /// The old content has been read.
  @Override
  public void succeeded() {
    ClusterStore.RamSlot filled = slot;
    if (filled == null) {
      throw new IllegalStateException("read without a slot");
    }
    int version;
    if (Zeroes.only(filled.buffer().clear())) {
      hook.store().abandon(filled);
      version = ClusterMap.ZERO;
    } else {
      version = ClusterMap.ofEntry(hook.store().commit(filled)); // I2: held before it is marked
    }
    hook.copies().ended(this, version);
  }

  /// No slot, or the old content cannot be read.
  @Override
  public void failed(IOException error) {
    ClusterStore.RamSlot unused = slot;
    if (unused == null) {
      here(() -> hook.copies().failed(this, error));
    } else {
      slot = null;
      hook.store().abandon(unused);
      hook.copies().unreadable(this, error);
    }
  }
}
