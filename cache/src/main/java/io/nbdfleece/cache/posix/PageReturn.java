// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;

/// Gives memory back to the system that stays allocated: `madvise(MADV_DONTNEED)`.
@SuppressWarnings("restricted") // Calling libc is what this class is for.
public final class PageReturn {
  private static final int MADV_DONTNEED = 4;
  private static final MethodHandle MADVISE =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("madvise"),
              FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));

  private PageReturn() {}

  /// Gives the pages of a direct buffer back, from its start to its capacity; it reads as zeroes
  /// afterwards, and takes memory again when it is written to. Nothing else may lie in these pages.
  ///
  /// @return whether they are given back; not where the system's pages are larger than what the
  ///   buffer is aligned to
  public static boolean giveBack(ByteBuffer buffer) {
    MemorySegment memory = MemorySegment.ofBuffer(buffer.duplicate().clear());
    try {
      return (int) MADVISE.invokeExact(memory, memory.byteSize(), MADV_DONTNEED) == 0;
    } catch (Throwable t) {
      throw new IllegalStateException("madvise", t);
    }
  }
}
