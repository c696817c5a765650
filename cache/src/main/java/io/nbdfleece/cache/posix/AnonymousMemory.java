// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.MADV_DONTNEED;
import static io.nbdfleece.cache.posix.LinuxConstants.MADV_POPULATE_WRITE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/// Memory straight from the system, which costs nothing until it is touched: mmap(2), madvise(2).
@SuppressWarnings("restricted") // Calling libc is what this class is for.
public final class AnonymousMemory {
  /// Touched in one call, which keeps others from mapping memory meanwhile.
  private static final long STEP_BYTES = 256 << 10;

  private static final long PAGE_BYTES = LinuxCalls.pageBytes();

  private AnonymousMemory() {}

  /// Zeroes, from the start of a page on, until the arena is closed.
  ///
  /// @throws OutOfMemoryError if the system gives none
  public static MemorySegment map(long bytes, Arena arena) {
    long address = LinuxCalls.mapAnonymous(bytes);
    if (address < 0) {
      throw new OutOfMemoryError("mmap of " + bytes + " bytes: " + Errno.text((int) -address));
    }
    return MemorySegment.ofAddress(address)
        .reinterpret(bytes, arena, _ -> LinuxCalls.munmap(address, bytes));
  }

  /// Touches memory from [#map] ahead of its use. What is written there already stays. Where the
  /// system cannot do it, before Linux 5.14 or for lack of memory, it is touched when it is used.
  public static void populate(MemorySegment memory) {
    for (long at = 0; at < memory.byteSize(); at += STEP_BYTES) {
      long bytes = Math.min(STEP_BYTES, memory.byteSize() - at);
      int _ = LinuxCalls.madvise(memory.address() + at, bytes, MADV_POPULATE_WRITE);
    }
  }

  /// Gives the pages of a direct buffer back, from its start to its capacity; it reads as zeroes
  /// afterwards, and takes memory again when it is written to. Nothing else may lie in these pages.
  ///
  /// @return whether they are given back; not unless the buffer is made of whole pages of the
  ///   system
  public static boolean giveBack(ByteBuffer buffer) {
    return giveBack(MemorySegment.ofBuffer(buffer.duplicate().clear()));
  }

  /// The same of memory from [#map].
  public static boolean giveBack(MemorySegment memory) {
    // The system would round the length up, and take from the neighbour.
    return ((memory.address() | memory.byteSize()) & (PAGE_BYTES - 1)) == 0
        && LinuxCalls.madvise(memory.address(), memory.byteSize(), MADV_DONTNEED) == 0;
  }
}
