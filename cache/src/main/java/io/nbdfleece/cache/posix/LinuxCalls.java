// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.CACHESTAT_NUMBER;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;

/// The libc functions, typed. Each returns what the function returned, or the negated error number
/// when it failed; a call that a signal interrupted is made again.
///
/// Pointers are passed as the buffers of the caller; nothing is allocated per call, because what a
/// call needs beside its arguments lies in a [CallArea] of the thread.
@SuppressWarnings("restricted") // Calling libc is what this class is for.
final class LinuxCalls {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final Linker.Option CAPTURE_ERRNO = Linker.Option.captureCallState("errno");
  private static final VarHandle ERRNO =
      Linker.Option.captureStateLayout()
          .varHandle(MemoryLayout.PathElement.groupElement("errno"))
          .withInvokeExactBehavior();

  private static final MethodHandle OPEN =
      bind("open", 2, FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT));
  private static final MethodHandle CLOSE =
      bind("close", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle PREAD =
      bind("pread", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle PWRITE =
      bind("pwrite", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG));
  private static final FunctionDescriptor VECTORED =
      FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_INT);
  private static final MethodHandle PREADV2 = bind("preadv2", 0, VECTORED);
  private static final MethodHandle PWRITEV2 = bind("pwritev2", 0, VECTORED);
  private static final MethodHandle FDATASYNC =
      bind("fdatasync", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle FSYNC =
      bind("fsync", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT));
  private static final MethodHandle LSEEK =
      bind("lseek", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT));
  private static final MethodHandle FSTAT =
      bind("fstat", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
  private static final MethodHandle FSTATFS =
      bind("fstatfs", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
  // The third argument is an int for some commands and a pointer for others: a register either way.
  private static final MethodHandle FCNTL =
      bind("fcntl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));

  private LinuxCalls() {}

  /// Has this class initialised, and the thread's area with it.
  static void bind() {
    CallArea _ = CallArea.ofThread();
  }

  static MethodHandle bind(String name, int firstVariadic, FunctionDescriptor type) {
    MemorySegment function = LINKER.defaultLookup().findOrThrow(name);
    return firstVariadic == 0
        ? LINKER.downcallHandle(function, type, CAPTURE_ERRNO)
        : LINKER.downcallHandle(
            function, type, CAPTURE_ERRNO, Linker.Option.firstVariadicArg(firstVariadic));
  }

  static int open(MemorySegment path, int flags, int mode) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) OPEN.invokeExact(area.state, path, flags, mode);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int close(int fd) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      // Not repeated after EINTR: Linux has given the descriptor back by then.
      result = (int) CLOSE.invokeExact(area.state, fd);
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static long pread(int fd, MemorySegment target, long offset) {
    CallArea area = CallArea.ofThread();
    long result;
    try {
      do {
        result = (long) PREAD.invokeExact(area.state, fd, target, target.byteSize(), offset);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static long pwrite(int fd, MemorySegment source, long offset) {
    CallArea area = CallArea.ofThread();
    long result;
    try {
      do {
        result = (long) PWRITE.invokeExact(area.state, fd, source, source.byteSize(), offset);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  /// @param flags RWF_ constants
  static long preadv2(int fd, MemorySegment target, long offset, int flags) {
    CallArea area = CallArea.ofThread();
    MemorySegment vector = area.vectorOf(target);
    long result;
    try {
      do {
        result = (long) PREADV2.invokeExact(area.state, fd, vector, 1, offset, flags);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  /// Reads one byte and forgets it.
  static long probe(int fd, long offset, int flags) {
    return preadv2(fd, CallArea.ofThread().probe.asSlice(0, 1), offset, flags);
  }

  /// Whether 8 bytes could be read there that are not all zero.
  ///
  /// @param flags RWF_ constants
  static boolean isDataAt(int fd, long offset, int flags) {
    MemorySegment probe = CallArea.ofThread().probe;
    return preadv2(fd, probe, offset, flags) == probe.byteSize() && probe.get(JAVA_LONG, 0) != 0;
  }

  /// @param flags RWF_ constants
  static long pwritev2(int fd, MemorySegment source, long offset, int flags) {
    CallArea area = CallArea.ofThread();
    MemorySegment vector = area.vectorOf(source);
    long result;
    try {
      do {
        result = (long) PWRITEV2.invokeExact(area.state, fd, vector, 1, offset, flags);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int fdatasync(int fd) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) FDATASYNC.invokeExact(area.state, fd);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int fsync(int fd) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) FSYNC.invokeExact(area.state, fd);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int fallocate(int fd, int mode, long offset, long length) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) SpaceCalls.FALLOCATE.invokeExact(area.state, fd, mode, offset, length);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int ftruncate(int fd, long size) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) SpaceCalls.FTRUNCATE.invokeExact(area.state, fd, size);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static long lseek(int fd, long offset, int whence) {
    CallArea area = CallArea.ofThread();
    long result;
    try {
      do {
        result = (long) LSEEK.invokeExact(area.state, fd, offset, whence);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static long readahead(int fd, long offset, long count) {
    CallArea area = CallArea.ofThread();
    long result;
    try {
      do {
        result = (long) DeviceCalls.READAHEAD.invokeExact(area.state, fd, offset, count);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int fstat(int fd, MemorySegment stat) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      result = (int) FSTAT.invokeExact(area.state, fd, stat);
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int fstatfs(int fd, MemorySegment statfs) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) FSTATFS.invokeExact(area.state, fd, statfs);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int statfs(MemorySegment path, MemorySegment statfs) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) DeviceCalls.STATFS.invokeExact(area.state, path, statfs);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int fcntl(int fd, int command, long argument) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      do {
        result = (int) FCNTL.invokeExact(area.state, fd, command, argument);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int ioctl(int fd, long request, MemorySegment argument) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      result = (int) DeviceCalls.IOCTL.invokeExact(area.state, fd, request, argument);
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  /// How many pages of the range are in the page cache: cachestat(2), of Linux 6.5.
  static long cachedPages(int fd, long offset, long length) {
    CallArea area = CallArea.ofThread();
    area.vector.set(JAVA_LONG, 0, offset);
    area.vector.set(JAVA_LONG, Long.BYTES, length);
    long result;
    try {
      do {
        result =
            (long)
                PageCacheCalls.CACHESTAT.invokeExact(
                    area.state, CACHESTAT_NUMBER, fd, area.vector, area.cacheStat, 0);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return result == -1 ? -area.errno() : area.cacheStat.get(JAVA_LONG, 0);
  }

  static boolean interrupted(CallArea area, long result) {
    return result == -1 && area.errno() == Errno.EINTR;
  }

  static int outcome(CallArea area, int result) {
    return result == -1 ? -area.errno() : result;
  }

  static long outcome(CallArea area, long result) {
    return result == -1 ? -area.errno() : result;
  }

  static AssertionError unexpected(Throwable cause) {
    if (cause instanceof Error error) {
      throw error;
    }
    if (cause instanceof RuntimeException error) {
      throw error;
    }
    return new AssertionError("a downcall throws nothing checked", cause);
  }

  // Bound when one of them is called first: each costs some milliseconds, and most servers need
  // none of them to start.
  /// What changes the space of a file.
  private static final class SpaceCalls {
    static final MethodHandle FALLOCATE =
        bind(
            "fallocate",
            0,
            FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
    static final MethodHandle FTRUNCATE =
        bind("ftruncate", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG));
  }

  /// What is asked of block devices and file systems only.
  private static final class DeviceCalls {
    static final MethodHandle READAHEAD =
        bind("readahead", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG));
    static final MethodHandle STATFS =
        bind("statfs", 0, FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS));
    static final MethodHandle IOCTL =
        bind("ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS));
  }

  /// What tells of the page cache.
  private static final class PageCacheCalls {
    // Through syscall(2): the C library has no function for it.
    static final MethodHandle CACHESTAT =
        bind(
            "syscall",
            1,
            FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT));
  }

  /// What a call of one thread needs beside its arguments.
  static final class CallArea {
    private static final ThreadLocal<CallArea> OF_THREAD = ThreadLocal.withInitial(CallArea::new);

    /// Where the linker puts errno.
    final MemorySegment state;

    /// One struct iovec: address, length.
    final MemorySegment vector;

    /// Some bytes to read into.
    final MemorySegment probe;

    /// An off_t.
    final MemorySegment offset;

    /// struct cachestat: the number of pages in the cache, and four others.
    final MemorySegment cacheStat;

    CallArea() {
      Arena arena = Arena.ofAuto();
      state = arena.allocate(Linker.Option.captureStateLayout());
      vector = arena.allocate(JAVA_LONG, 2);
      probe = arena.allocate(JAVA_LONG);
      offset = arena.allocate(JAVA_LONG);
      cacheStat = arena.allocate(JAVA_LONG, 5);
    }

    static CallArea ofThread() {
      return OF_THREAD.get();
    }

    int errno() {
      return (int) ERRNO.get(state, 0L);
    }

    /// The caller keeps `bytes` reachable and open until its call is over.
    MemorySegment vectorOf(MemorySegment bytes) {
      vector.set(JAVA_LONG, 0, bytes.address());
      vector.set(JAVA_LONG, 8, bytes.byteSize());
      return vector;
    }
  }
}
