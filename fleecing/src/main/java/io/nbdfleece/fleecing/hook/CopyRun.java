// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Preserving neighbouring clusters together: acquire a RAM slot for each, read the old content
/// into them at once, hand them to the store, and tell the hook. Where there are not enough slots,
/// or the read fails, it goes on one by one: so each waits, and fails, for itself.
final class CopyRun implements ClusterStore.SlotCompletion, Completion {
  private final FleecingHook hook;

  /// Of neighbouring clusters, in order; at least one.
  private final List<ClusterCopy> copies;

  /// As many as there are copies, once there are any.
  private List<RamSlot> slots = List.of();

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
    if (copies.size() == 1) {
      startOne();
      return;
    }
    List<RamSlot> free = List.of();
    try {
      free = hook.store().acquireNow(copies.size());
    } catch (RuntimeException | Error e) {
      failed(new IOException("internal error: " + e, e));
      return;
    }
    int ready = free.size();
    if (ready > 0) {
      new CopyRun(hook, copies.subList(0, ready)).fill(free);
    }
    startEach(copies.subList(ready, copies.size()));
  }

  private void startEach(List<ClusterCopy> left) {
    for (ClusterCopy copy : left) {
      new CopyRun(hook, List.of(copy)).startOne();
    }
  }

  private void startOne() {
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
  public void acquired(RamSlot free) {
    here(() -> fill(List.of(free)));
  }

  private void fill(List<RamSlot> free) {
    slots = free;
    try {
      readOldContent();
    } catch (RuntimeException | Error e) {
      failed(new IOException("internal error: " + e, e));
    }
  }

  private void readOldContent() {
    int first = copies.getFirst().cluster;
    long offsetBytes = hook.geometry().offsetOf(first);
    if (copies.size() > 1) {
      List<ByteBuffer> targets = new ArrayList<>(slots.size());
      for (int i = 0; i < slots.size(); i++) {
        targets.add(toFill(slots.get(i), hook, first + i));
      }
      hook.child().read(offsetBytes, targets, this);
    } else if (hook.copies().knows(copies.getFirst())) {
      hook.child().read(offsetBytes, toFill(slots.getFirst(), hook, first), this);
    } else {
      abandonSlots();
    }
  }

  private void abandonSlots() {
    List<RamSlot> unused = slots;
    slots = List.of();
    unused.forEach(hook.store()::abandon);
  }

  /// The part of a slot that the disk has to fill; the rest is zeroes.
  static ByteBuffer toFill(RamSlot slot, FleecingHook hook, int cluster) {
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
    List<RamSlot> read = slots;
    slots = List.of();
    int[] versions = new int[read.size()];
    List<RamSlot> filled = new ArrayList<>(read.size());
    for (int i = 0; i < versions.length; i++) {
      RamSlot slot = read.get(i);
      if (Zeroes.only(slot.buffer().clear())) {
        hook.store().abandon(slot);
        versions[i] = ClusterMap.ZERO;
      } else {
        filled.add(slot);
      }
    }
    int[] entries = hook.store().commit(filled); // I2: held before it is marked
    int next = 0;
    for (int i = 0; i < versions.length; i++) {
      if (versions[i] == ClusterMap.ABSENT) {
        versions[i] = ClusterMap.ofEntry(entries[next++]);
      }
    }
    hook.copies().ended(copies, versions);
  }

  /// No slot, or the old content cannot be read.
  @Override
  public void failed(IOException error) {
    boolean filling = !slots.isEmpty();
    abandonSlots();
    if (copies.size() > 1) {
      startEach(copies);
    } else if (filling) {
      hook.copies().unreadable(copies.getFirst(), error);
    } else {
      here(() -> hook.copies().failed(copies.getFirst(), error));
    }
  }
}
