// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Reads the old content of neighbouring clusters into slots at once, hands those to the store, and
/// tells the hook. Where the read fails, it goes on one by one: so each fails for itself.
final class CopyFill implements Completion {
  private final FleecingHook hook;

  /// Of neighbouring clusters, in order; at least one.
  private final List<ClusterCopy> copies;

  /// One for each, until the store has them back.
  private List<RamSlot> slots;

  CopyFill(FleecingHook hook, List<ClusterCopy> copies, List<RamSlot> slots) {
    this.hook = hook;
    this.copies = copies;
    this.slots = slots;
  }

  /// For who has waited for the slots: it may be that nobody needs the copies any more.
  void startIfNeeded() {
    if (hook.copies().knowsAny(copies)) {
      start();
    } else {
      hook.store().abandon(slots);
    }
  }

  void start() {
    try {
      readOldContent();
    } catch (RuntimeException | Error e) {
      failed(new IOException("internal error: " + e, e));
    }
  }

  private void readOldContent() {
    int first = copies.getFirst().cluster;
    long offsetBytes = hook.geometry().offsetOf(first);
    if (copies.size() == 1) {
      readOne(copies.getFirst(), slots.getFirst());
      return;
    }
    List<ByteBuffer> targets = new ArrayList<>(slots.size());
    for (int i = 0; i < slots.size(); i++) {
      targets.add(toFill(slots.get(i), hook, first + i));
    }
    hook.child().read(offsetBytes, targets, this);
  }

  private void readOne(ClusterCopy copy, RamSlot slot) {
    ByteBuffer whole = toFill(slot, hook, copy.cluster);
    hook.child()
        .read(
            hook.geometry().offsetOf(copy.cluster, copy.blocks),
            blocksIn(whole, copy.cluster, copy.blocks),
            this);
  }

  /// The bytes of some blocks in the buffer of their cluster.
  private ByteBuffer blocksIn(ByteBuffer whole, int cluster, int blocks) {
    ClusterGeometry geometry = hook.geometry();
    long offsetBytes = geometry.offsetOf(cluster);
    return whole
        .limit((int) (geometry.endOf(cluster, blocks) - offsetBytes))
        .position((int) (geometry.offsetOf(cluster, blocks) - offsetBytes));
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
    addPartsFrom(0);
  }

  /// Puts into the slots what had been preserved of these clusters before. Where that cannot be
  /// read, it stays what it is beside the rest, and whoever needs it will find out.
  private void addPartsFrom(int first) {
    for (int i = first; i < copies.size(); i++) {
      ClusterCopy copy = copies.get(i);
      copy.containsBefore = false;
      Part before = copy.before;
      if (before == null || ClusterMap.isLost(before.version())) {
        continue;
      }
      ByteBuffer bytes =
          blocksIn(slots.get(i).buffer().duplicate().clear(), copy.cluster, before.blocks());
      if (before.version() == ClusterMap.ZERO) {
        Zeroes.fill(bytes);
        copy.containsBefore = true;
      } else if (hook.copies().pinBefore(copy)) {
        int next = i + 1;
        hook.store()
            .read(
                ClusterMap.entryOf(before.version()),
                bytes.position(),
                bytes,
                new Completion() {
                  @Override
                  public void succeeded() {
                    copy.containsBefore = true;
                    addPartsFrom(next);
                  }

                  @Override
                  public void failed(IOException error) {
                    addPartsFrom(next);
                  }
                });
        return;
      }
    }
    handOver();
  }

  private void handOver() {
    List<RamSlot> read = slots;
    slots = List.of();
    int[] versions = new int[read.size()];
    List<RamSlot> filled = new ArrayList<>(read.size());
    List<RamSlot> unneeded = new ArrayList<>();
    for (int i = 0; i < versions.length; i++) {
      RamSlot slot = read.get(i);
      ClusterCopy copy = copies.get(i);
      boolean zero = Zeroes.only(blocksIn(slot.buffer().clear(), copy.cluster, copy.blocks));
      slot.buffer().clear();
      if (zero) {
        unneeded.add(slot);
        versions[i] = ClusterMap.ZERO;
      } else {
        filled.add(slot);
      }
    }
    if (!unneeded.isEmpty()) {
      hook.store().abandon(unneeded);
    }
    int[] entries = hook.store().commit(filled); // I2: held before it is marked
    int next = 0;
    for (int i = 0; i < versions.length; i++) {
      if (versions[i] == ClusterMap.ABSENT) {
        versions[i] = ClusterMap.ofEntry(entries[next++]);
      }
    }
    hook.copies().ended(copies, versions);
    unpinParts();
  }

  /// Not before: until here the number of a part's entry could not become another's.
  private void unpinParts() {
    for (ClusterCopy copy : copies) {
      if (copy.before != null && copy.beforeIsPinned) {
        copy.beforeIsPinned = false;
        hook.store().unpin(ClusterMap.entryOf(copy.before.version()));
      }
    }
  }

  /// The old content cannot be read, or not be kept.
  @Override
  public void failed(IOException error) {
    unpinParts();
    List<RamSlot> unused = slots;
    slots = List.of();
    if (unused.isEmpty()) {
      copies.forEach(copy -> hook.copies().failed(copy, error));
    } else if (copies.size() == 1) {
      hook.store().abandon(unused.getFirst());
      hook.copies().unreadable(copies.getFirst(), error);
    } else {
      for (int i = 0; i < unused.size(); i++) {
        new CopyFill(hook, copies.subList(i, i + 1), unused.subList(i, i + 1)).startIfNeeded();
      }
    }
  }
}
