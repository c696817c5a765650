// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/// The RAM of the store: slots cut from slabs outside the heap. A slab is allocated when the first
/// of its slots is needed, so that an idle server is small, and the slot given back last is given
/// out first, because its memory is warm.
///
/// Not thread-safe: guarded by the store's lock.
final class RamSlots {
  private static final int SLAB_BYTES = 1 << 20;
  private static final int PAGE_BYTES = 4096;

  private final Arena arena = Arena.ofShared();
  private final int slotBytes;
  private final int slotCount;
  private final Deque<Slot> free = new ArrayDeque<>();
  private int createdCount;
  private int usedCount;

  RamSlots(int slotBytes, int slotCount) {
    this.slotBytes = slotBytes;
    this.slotCount = slotCount;
  }

  /// A free slot, then FILLING, or null when all are in use.
  @Nullable Slot take() {
    Slot slot = free.pollFirst();
    if (slot == null && createdCount < slotCount) {
      createSlab();
      slot = free.pollFirst();
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

  void close() {
    arena.close();
  }

  private void createSlab() {
    int count = Math.min(Math.max(1, SLAB_BYTES / slotBytes), slotCount - createdCount);
    MemorySegment slab = arena.allocate((long) slotBytes * count, PAGE_BYTES);
    for (int i = 0; i < count; i++) {
      free.addLast(new Slot(slab.asSlice((long) slotBytes * i, slotBytes).asByteBuffer()));
    }
    createdCount += count;
  }
}
