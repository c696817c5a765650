// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.AT_FDCWD;
import static io.nbdfleece.cache.posix.LinuxConstants.CACHESTAT_NUMBER;
import static io.nbdfleece.cache.posix.LinuxConstants.MAP_ANONYMOUS;
import static io.nbdfleece.cache.posix.LinuxConstants.MAP_NORESERVE;
import static io.nbdfleece.cache.posix.LinuxConstants.MAP_PRIVATE;
import static io.nbdfleece.cache.posix.LinuxConstants.PRIO_PROCESS;
import static io.nbdfleece.cache.posix.LinuxConstants.PROT_READ;
import static io.nbdfleece.cache.posix.LinuxConstants.PROT_WRITE;
import static io.nbdfleece.cache.posix.LinuxConstants.SCHED_ATTR_BYTES;
import static io.nbdfleece.cache.posix.LinuxConstants.SCHED_ATTR_POLICY_OFFSET;
import static io.nbdfleece.cache.posix.LinuxConstants.SCHED_ATTR_RUNTIME_OFFSET;
import static io.nbdfleece.cache.posix.LinuxConstants.SCHED_GETATTR_NUMBER;
import static io.nbdfleece.cache.posix.LinuxConstants.SCHED_OTHER;
import static io.nbdfleece.cache.posix.LinuxConstants.SCHED_SETATTR_NUMBER;
import static io.nbdfleece.cache.posix.LinuxConstants.STATX_NUMBER;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.List;

/// The libc functions, typed. Each returns what the function returned, or the negated error number
/// when it failed; a call that a signal interrupted is made again.
///
/// Pointers are passed as the buffers of the caller; nothing is allocated per call, because what a
/// call needs beside its arguments lies in a [CallArea] of the thread.
@SuppressWarnings("restricted") // Calling libc is what this class is for.
final class LinuxCalls {
  /*
   * For each type of function that is bound Java writes a dozen classes, 15 ms and more in a
   * process that has just begun, at every start. So there are two types for all. On the 64-bit
   * systems of Linux whatever is not a floating-point number takes one register; a function leaves
   * those alone that it has no argument for, and of a word that it takes for an int it looks at
   * the lower half. Of what returns an int the upper half is anything, though.
   */

  /// Buffers that one call can take.
  static final int VECTOR_PARTS_MAX = 64;

  /// Of functions that take numbers, and addresses of what the caller keeps alive itself.
  private static final FunctionDescriptor WORDS =
      FunctionDescriptor.of(
          JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

  /// Of functions that take a descriptor, a buffer and two numbers. The buffer cannot be closed
  /// while the call lasts.
  private static final FunctionDescriptor BUFFER =
      FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG);

  private static final Linker LINKER = Linker.nativeLinker();
  private static final Linker.Option CAPTURE_ERRNO = Linker.Option.captureCallState("errno");
  private static final long ERRNO_OFFSET =
      Linker.Option.captureStateLayout().byteOffset(PathElement.groupElement("errno"));

  private static final MethodHandle OPEN = bindVariadic("open");
  private static final MethodHandle CLOSE = bindWords("close");
  private static final MethodHandle PREAD = bindBuffer("pread");
  private static final MethodHandle PWRITE = bindBuffer("pwrite");
  private static final MethodHandle PREADV2 = bindWords("preadv2");
  private static final MethodHandle PWRITEV2 = bindWords("pwritev2");
  private static final MethodHandle FDATASYNC = bindWords("fdatasync");
  private static final MethodHandle FSYNC = bindWords("fsync");
  private static final MethodHandle FALLOCATE = bindWords("fallocate");
  private static final MethodHandle FTRUNCATE = bindWords("ftruncate");
  private static final MethodHandle LSEEK = bindWords("lseek");
  private static final MethodHandle READAHEAD = bindWords("readahead");
  private static final MethodHandle NICE = bindWords("nice");
  private static final MethodHandle SETPRIORITY = bindWords("setpriority");
  private static final MethodHandle FSTAT = bindWords("fstat");
  private static final MethodHandle FSTATFS = bindWords("fstatfs");
  private static final MethodHandle STATFS = bindWords("statfs");
  private static final MethodHandle FCNTL = bindVariadic("fcntl");
  private static final MethodHandle IOCTL = bindVariadic("ioctl");
  private static final MethodHandle MMAP = bindWords("mmap");
  private static final MethodHandle MADVISE = bindWords("madvise");
  private static final MethodHandle MUNMAP = bindWords("munmap");
  private static final MethodHandle GETPAGESIZE = bindWords("getpagesize");
  private static final MethodHandle SYSCALL = bindVariadic("syscall");

  private LinuxCalls() {}

  /// Has this class initialised, and the thread's area with it.
  static void bind() {
    CallArea _ = CallArea.ofThread();
  }

  /// For [#intCall] and [#longCall].
  static MethodHandle bindWords(String name) {
    return LINKER.downcallHandle(function(name), WORDS, CAPTURE_ERRNO);
  }

  /// The same, of what is declared with `...`. Here it does not matter from which argument on.
  private static MethodHandle bindVariadic(String name) {
    return LINKER.downcallHandle(
        function(name), WORDS, CAPTURE_ERRNO, Linker.Option.firstVariadicArg(1));
  }

  /// For [#bufferCall].
  static MethodHandle bindBuffer(String name) {
    return LINKER.downcallHandle(function(name), BUFFER, CAPTURE_ERRNO);
  }

  private static MemorySegment function(String name) {
    return LINKER.defaultLookup().findOrThrow(name);
  }

  static int open(MemorySegment path, int flags, int mode) {
    return intCall(OPEN, path.address(), flags, mode, 0);
  }

  static int close(int fd) {
    CallArea area = CallArea.ofThread();
    // Not repeated after EINTR: Linux has given the descriptor back by then.
    int result = (int) call(CLOSE, area, fd, 0, 0, 0, 0, 0);
    return (int) area.outcome(result);
  }

  static long pread(int fd, MemorySegment target, long offset) {
    return bufferCall(PREAD, fd, target, offset);
  }

  static long pwrite(int fd, MemorySegment source, long offset) {
    return bufferCall(PWRITE, fd, source, offset);
  }

  /// The caller keeps `target` open until this returns.
  ///
  /// @param flags RWF_ constants
  static long preadv2(int fd, MemorySegment target, long offset, int flags) {
    long vector = CallArea.ofThread().vectorOf(target);
    return longCall(PREADV2, fd, vector, 1, offset, flags, 0);
  }

  /// Into what remains of several buffers, one after the other.
  ///
  /// @param count how many of them, at most [#VECTOR_PARTS_MAX]
  /// @param flags RWF_ constants
  static long preadv2(int fd, List<ByteBuffer> targets, int count, long offset, int flags) {
    return vectorCall(PREADV2, fd, targets, count, offset, flags);
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

  /// The caller keeps `source` open until this returns.
  ///
  /// @param flags RWF_ constants
  static long pwritev2(int fd, MemorySegment source, long offset, int flags) {
    long vector = CallArea.ofThread().vectorOf(source);
    return longCall(PWRITEV2, fd, vector, 1, offset, flags, 0);
  }

  /// Of what remains of several buffers, one after the other.
  ///
  /// @param count how many of them, at most [#VECTOR_PARTS_MAX]
  /// @param flags RWF_ constants
  static long pwritev2(int fd, List<ByteBuffer> sources, int count, long offset, int flags) {
    return vectorCall(PWRITEV2, fd, sources, count, offset, flags);
  }

  static int fdatasync(int fd) {
    return intCall(FDATASYNC, fd, 0, 0, 0);
  }

  /// Of the calling thread alone, as on Linux. Giving way cannot fail; what this returns may be a
  /// nice value of -1 as well as an error.
  static void nice(int increment) {
    int _ = intCall(NICE, increment, 0, 0, 0);
  }

  /// The nice value of a thread of this process; a lower one than it has needs a privilege.
  static int setNice(int threadId, int nice) {
    return intCall(SETPRIORITY, PRIO_PROCESS, threadId, nice, 0);
  }

  /// How long the calling thread may run before it is another one's turn, if it is scheduled as
  /// usual, and then those that it starts; 0 is the system's own choice. Systems before Linux 6.12
  /// take no notice. The C library has no function for it.
  static long setTimeSlice(long nanos) {
    MemorySegment fields = CallArea.ofThread().vector;
    long attributes = fields.address();
    long result = longCall(SYSCALL, SCHED_GETATTR_NUMBER, 0, attributes, SCHED_ATTR_BYTES, 0, 0);
    if (result < 0 || fields.get(JAVA_INT, SCHED_ATTR_POLICY_OFFSET) != SCHED_OTHER) {
      return result;
    }
    fields.set(JAVA_LONG, SCHED_ATTR_RUNTIME_OFFSET, nanos);
    return longCall(SYSCALL, SCHED_SETATTR_NUMBER, 0, attributes, 0, 0, 0);
  }

  static int fsync(int fd) {
    return intCall(FSYNC, fd, 0, 0, 0);
  }

  static int fallocate(int fd, int mode, long offset, long length) {
    return intCall(FALLOCATE, fd, mode, offset, length);
  }

  static int ftruncate(int fd, long size) {
    return intCall(FTRUNCATE, fd, size, 0, 0);
  }

  static long lseek(int fd, long offset, int whence) {
    return longCall(LSEEK, fd, offset, whence, 0, 0, 0);
  }

  static long readahead(int fd, long offset, long count) {
    return longCall(READAHEAD, fd, offset, count, 0, 0, 0);
  }

  static int pageBytes() {
    return intCall(GETPAGESIZE, 0, 0, 0, 0);
  }

  static int fstat(int fd, MemorySegment stat) {
    return intCall(FSTAT, fd, stat.address(), 0, 0);
  }

  /// Of what a path leads to.
  static int statx(MemorySegment path, int mask, MemorySegment statx) {
    return (int)
        longCall(SYSCALL, STATX_NUMBER, AT_FDCWD, path.address(), 0, mask, statx.address());
  }

  static int fstatfs(int fd, MemorySegment statfs) {
    return intCall(FSTATFS, fd, statfs.address(), 0, 0);
  }

  static int statfs(MemorySegment path, MemorySegment statfs) {
    return intCall(STATFS, path.address(), statfs.address(), 0, 0);
  }

  static int fcntl(int fd, int command, long argument) {
    return intCall(FCNTL, fd, command, argument, 0);
  }

  static int ioctl(int fd, long request, MemorySegment argument) {
    return intCall(IOCTL, fd, request, argument.address(), 0);
  }

  /// Memory of no file, readable and writable. Returns its address.
  static long mapAnonymous(long length) {
    long protection = PROT_READ | PROT_WRITE;
    long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    return longCall(MMAP, 0, length, protection, flags, -1, 0);
  }

  static int madvise(long address, long length, int advice) {
    return intCall(MADVISE, address, length, advice, 0);
  }

  static void munmap(long address, long length) {
    int result = intCall(MUNMAP, address, length, 0, 0);
    assert result == 0;
  }

  /// How many pages of the range are in the page cache: cachestat(2), of Linux 6.5. The C library
  /// has no function for it.
  static long cachedPages(int fd, long offset, long length) {
    CallArea area = CallArea.ofThread();
    area.vector.set(JAVA_LONG, 0, offset);
    area.vector.set(JAVA_LONG, Long.BYTES, length);
    long result =
        longCall(
            SYSCALL, CACHESTAT_NUMBER, fd, area.vector.address(), area.cacheStat.address(), 0, 0);
    return result < 0 ? result : area.cacheStat.get(JAVA_LONG, 0);
  }

  /// Calls a function that returns an int.
  static int intCall(MethodHandle function, long a, long b, long c, long d) {
    CallArea area = CallArea.ofThread();
    int result;
    do {
      result = (int) call(function, area, a, b, c, d, 0, 0);
    } while (area.interrupted(result));
    return (int) area.outcome(result);
  }

  /// Calls a function that returns a word.
  static long longCall(MethodHandle function, long a, long b, long c, long d, long e, long f) {
    CallArea area = CallArea.ofThread();
    long result;
    do {
      result = call(function, area, a, b, c, d, e, f);
    } while (area.interrupted(result));
    return area.outcome(result);
  }

  private static long vectorCall(
      MethodHandle function, int fd, List<ByteBuffer> buffers, int count, long offset, int flags) {
    long vector = CallArea.ofThread().vectorOf(buffers, count);
    try {
      return longCall(function, fd, vector, count, offset, flags, 0);
    } finally {
      Reference.reachabilityFence(buffers);
    }
  }

  /// Calls a function that takes a buffer with its length, and returns a word.
  static long bufferCall(MethodHandle function, int fd, MemorySegment buffer, long last) {
    CallArea area = CallArea.ofThread();
    long result;
    do {
      try {
        result =
            (long) function.invokeExact(area.state, (long) fd, buffer, buffer.byteSize(), last);
      } catch (Throwable t) {
        throw unexpected(t);
      }
    } while (area.interrupted(result));
    return area.outcome(result);
  }

  private static long call(
      MethodHandle function, CallArea area, long a, long b, long c, long d, long e, long f) {
    try {
      return (long) function.invokeExact(area.state, a, b, c, d, e, f);
    } catch (Throwable t) {
      throw unexpected(t);
    }
  }

  private static AssertionError unexpected(Throwable cause) {
    if (cause instanceof Error error) {
      throw error;
    }
    if (cause instanceof RuntimeException error) {
      throw error;
    }
    return new AssertionError("a downcall throws nothing checked", cause);
  }

  /// What a call of one thread needs beside its arguments.
  static final class CallArea {
    private static final ThreadLocal<CallArea> OF_THREAD = ThreadLocal.withInitial(CallArea::new);

    /// Where the linker puts errno.
    final MemorySegment state;

    /// Of struct iovec: address, length.
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
      vector = arena.allocate(JAVA_LONG, 2L * VECTOR_PARTS_MAX);
      probe = arena.allocate(JAVA_LONG);
      offset = arena.allocate(JAVA_LONG);
      cacheStat = arena.allocate(JAVA_LONG, 5);
    }

    /// It stays as long as the thread does.
    static CallArea ofThread() {
      return OF_THREAD.get();
    }

    boolean interrupted(long result) {
      return result == -1 && errno() == Errno.EINTR;
    }

    long outcome(long result) {
      return result == -1 ? -errno() : result;
    }

    private int errno() {
      return state.get(JAVA_INT, ERRNO_OFFSET);
    }

    /// The address of [#vector], of one part. The caller keeps `bytes` reachable and open until its
    /// call is over.
    long vectorOf(MemorySegment bytes) {
      vector.set(JAVA_LONG, 0, bytes.address());
      vector.set(JAVA_LONG, 8, bytes.byteSize());
      return vector.address();
    }

    /// The address of [#vector], of what remains of several buffers. The caller keeps them
    /// reachable until its call is over.
    long vectorOf(List<ByteBuffer> buffers, int count) {
      for (int i = 0; i < count; i++) {
        MemorySegment bytes = MemorySegment.ofBuffer(buffers.get(i));
        vector.setAtIndex(JAVA_LONG, 2L * i, bytes.address());
        vector.setAtIndex(JAVA_LONG, 2L * i + 1, bytes.byteSize());
      }
      return vector.address();
    }
  }
}
