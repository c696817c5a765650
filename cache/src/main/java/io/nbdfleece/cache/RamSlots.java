// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/// The RAM of the store: slots cut from slabs outside the heap. A slab is allocated when the first
/// of its slots is needed, so that an idle server is small, and the slot given back last is given
/// out first, because its memory is warm.
///
/// Not thread-safe, but for [#rest]: guarded by the store's lock.
final class RamSlots {
  private static final int SLAB_BYTES = 1 << 20;
  private static final int PAGE_BYTES = 4096;

  private final Arena arena = Arena.ofShared();
  private final int slotBytes;
  private final Deque<Slot> free = new ArrayDeque<>();

  /// Slots without memory.
  private final Queue<Slot> resting = new ConcurrentLinkedQueue<>();

  private int slotCountMax;
  private int usedCount;

  RamSlots(int slotBytes, int slotCountMax) {
    this.slotBytes = slotBytes;
    this.slotCountMax = slotCountMax;
  }

  /// A free slot, then FILLING, or null when all are in use.
  @Nullable Slot take() {
    Slot slot = free.pollFirst();
    if (slot == null && usedCount < slotCountMax) {
      slot = resting.poll();
      if (slot == null) {
        createSlab();
        slot = free.pollFirst();
      }
    }
    if (slot != null) {
      usedCount++;
      slot.move(Slot.Use.FREE, Slot.Use.FILLING);
      slot.buffer().clear();
    }
    return slot;
  }

  void giveBack(Slot slot, Slot.Use from) {
    slot.move(from, Slot.Use.FREE);
    free.addFirst(slot);
    usedCount--;
  }

  int usedCount() {
    return usedCount;
  }

  int slotCountMax() {
    return slotCountMax;
  }

  /// From now on there are so many; if more are in use that takes until they are given back.
  void resize(int count) {
    slotCountMax = count;
  }

  /// Takes out a free slot that is one too many, or null. It is for [#rest] when its memory has
  /// been given back.
  @Nullable Slot takeSurplus() {
    return usedCount + free.size() > slotCountMax ? free.pollLast() : null;
  }

  /// Any thread: keeps a slot that has no memory until it is needed again.
  void rest(Slot slot) {
    resting.add(slot);
  }

  void close() {
    arena.close();
  }

  private void createSlab() {
    int count = Math.min(Math.max(1, SLAB_BYTES / slotBytes), slotCountMax - usedCount);
    MemorySegment slab = arena.allocate((long) slotBytes * count, PAGE_BYTES);
    for (int i = 0; i < count; i++) {
      free.addLast(new Slot(slab.asSlice((long) slotBytes * i, slotBytes).asByteBuffer()));
    }
  }
}
