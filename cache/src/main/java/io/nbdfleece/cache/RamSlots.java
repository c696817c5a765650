// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.jspecify.annotations.Nullable;

/// The RAM of the store: slots outside the heap. They are cut from [SlotMemory] when they are
/// needed, some at once, so that an idle server is small, and the slot given back last is given out
/// first, because its memory is warm.
///
/// Not thread-safe, but for [#rest]: guarded by the store's lock.
final class RamSlots {
  private static final int CUT_BYTES = 1 << 20;

  private final int slotBytes;
  private final SlotMemory memory;
  private final Deque<Slot> free = new ArrayDeque<>();

  /// Slots without memory.
  private final Queue<Slot> resting = new ConcurrentLinkedQueue<>();

  private int slotCountMax;
  private int usedCount;

  /// @param untouchedIsThere called under the store's lock when [#nextUntouched] has something
  RamSlots(int slotBytes, int slotCountMax, Runnable untouchedIsThere) {
    this.slotBytes = slotBytes;
    this.slotCountMax = slotCountMax;
    this.memory = new SlotMemory(slotBytes, (long) slotBytes * slotCountMax, untouchedIsThere);
  }

  /// As in [SlotMemory].
  void prepare() {
    memory.prepare();
  }

  /// As in [SlotMemory].
  @Nullable MemorySegment nextUntouched() {
    return memory.nextUntouched();
  }

  /// A free slot, then FILLING, or null when all are in use.
  @Nullable Slot take() {
    Slot slot = free.pollFirst();
    if (slot == null && usedCount < slotCountMax) {
      slot = resting.poll();
      if (slot == null) {
        cut();
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
    memory.resize((long) slotBytes * count);
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
    memory.close();
  }

  private void cut() {
    int wanted = Math.min(Math.max(1, CUT_BYTES / slotBytes), slotCountMax - usedCount);
    MemorySegment cut = memory.cut(wanted);
    for (long at = 0; at < cut.byteSize(); at += slotBytes) {
      free.addLast(new Slot(cut.asSlice(at, slotBytes).asByteBuffer()));
    }
  }
}
