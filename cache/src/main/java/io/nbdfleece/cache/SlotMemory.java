// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.posix.AnonymousMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Queue;
import org.jspecify.annotations.Nullable;

/// The memory that slots are cut from, in pieces. While one is being cut the next is there already,
/// for a background task to [touch][#nextUntouched]: the first touch of a page costs more than a
/// copy into it, and it is guests' writes that would pay.
///
/// Not thread-safe: guarded by the store's lock.
final class SlotMemory {
  private static final System.Logger LOG = System.getLogger(SlotMemory.class.getName());
  private static final long PIECE_BYTES = 8 << 20;

  private final Arena arena = Arena.ofShared();
  private final int slotBytes;
  private final Runnable untouchedIsThere;
  private final Queue<MemorySegment> untouched = new ArrayDeque<>();
  private long bytesMax;
  private long mappedBytes;
  private MemorySegment current = MemorySegment.NULL;
  private MemorySegment ahead = MemorySegment.NULL;

  /// @param bytesMax so much in all, a multiple of `slotBytes`
  /// @param untouchedIsThere called when there is something to touch
  SlotMemory(int slotBytes, long bytesMax, Runnable untouchedIsThere) {
    this.slotBytes = slotBytes;
    this.bytesMax = bytesMax;
    this.untouchedIsThere = untouchedIsThere;
  }

  /// Has the first piece there, if it is not yet.
  void prepare() {
    if (ahead.byteSize() == 0) {
      mapAhead();
    }
  }

  /// Room for so many slots, or for fewer, but for one at least. It is for the caller to keep to
  /// `bytesMax`: slots whose memory is just being given back to the system do not count for it, but
  /// do here.
  MemorySegment cut(int slotCount) {
    if (current.byteSize() == 0) {
      prepare();
      current = ahead;
      ahead = MemorySegment.NULL;
      mapAhead();
    }
    if (current.byteSize() == 0) {
      current = map(slotBytes);
    }
    long bytes = Math.min((long) slotBytes * slotCount, current.byteSize());
    MemorySegment cut = current.asSlice(0, bytes);
    current = current.asSlice(bytes);
    return cut;
  }

  private void mapAhead() {
    long bytes = Math.min(Math.max(PIECE_BYTES, slotBytes), bytesMax - mappedBytes);
    if (bytes <= 0) {
      return;
    }
    try {
      ahead = map(bytes);
    } catch (OutOfMemoryError none) {
      LOG.log(System.Logger.Level.DEBUG, "no memory ahead of its use", none);
      return; // Who needs it asks for less, and hears of it.
    }
    untouched.add(ahead);
    untouchedIsThere.run();
  }

  private MemorySegment map(long bytes) {
    MemorySegment mapped = AnonymousMemory.map(bytes, arena);
    mappedBytes += bytes;
    return mapped;
  }

  /// What is to be touched by [AnonymousMemory#populate] next, without the lock; null if nothing.
  @Nullable MemorySegment nextUntouched() {
    return untouched.poll();
  }

  /// From now on it is so much. What is too much and not yet cut takes no memory until it is.
  void resize(long bytes) {
    bytesMax = bytes;
    if (mappedBytes > bytesMax) {
      giveBack(current);
      giveBack(ahead);
      untouched.clear();
    }
  }

  private static void giveBack(MemorySegment memory) {
    if (memory.byteSize() > 0) {
      boolean _ = AnonymousMemory.giveBack(memory);
    }
  }

  /// Nobody may be touching any of it.
  void close() {
    arena.close();
  }
}
