// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
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
  private static final MethodHandle FALLOCATE =
      bind(
          "fallocate",
          0,
          FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle FTRUNCATE =
      bind("ftruncate", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle LSEEK =
      bind("lseek", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT));
  private static final MethodHandle READAHEAD =
      bind("readahead", 0, FunctionDescriptor.of(JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle FSTAT =
      bind("fstat", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
  private static final MethodHandle FSTATFS =
      bind("fstatfs", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
  private static final MethodHandle STATFS =
      bind("statfs", 0, FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS));
  // The third argument is an int for some commands and a pointer for others: a register either way.
  private static final MethodHandle FCNTL =
      bind("fcntl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle IOCTL =
      bind("ioctl", 2, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS));

  private static final MethodHandle SOCKET =
      bind("socket", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT));
  private static final MethodHandle SENDTO =
      bind(
          "sendto",
          0,
          FunctionDescriptor.of(
              JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT));
  private static final MethodHandle GETSOCKNAME =
      bind("getsockname", 0, FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, ADDRESS));

  private LinuxCalls() {}

  private static MethodHandle bind(String name, int firstVariadic, FunctionDescriptor type) {
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
    return preadv2(fd, CallArea.ofThread().probe, offset, flags);
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
        result = (int) FALLOCATE.invokeExact(area.state, fd, mode, offset, length);
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
        result = (int) FTRUNCATE.invokeExact(area.state, fd, size);
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
        result = (long) READAHEAD.invokeExact(area.state, fd, offset, count);
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
        result = (int) STATFS.invokeExact(area.state, path, statfs);
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
      result = (int) IOCTL.invokeExact(area.state, fd, request, argument);
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  static int socket(int family, int type) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      result = (int) SOCKET.invokeExact(area.state, family, type, 0);
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  /// @param flags MSG_ constants
  static long sendto(int fd, MemorySegment bytes, int flags, MemorySegment address) {
    CallArea area = CallArea.ofThread();
    int addressBytes = Math.toIntExact(address.byteSize());
    long result;
    try {
      do {
        result =
            (long)
                SENDTO.invokeExact(
                    area.state, fd, bytes, bytes.byteSize(), flags, address, addressBytes);
      } while (interrupted(area, result));
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  /// @param length an int: in, the room at `address`; out, what the address takes
  static int getsockname(int fd, MemorySegment address, MemorySegment length) {
    CallArea area = CallArea.ofThread();
    int result;
    try {
      result = (int) GETSOCKNAME.invokeExact(area.state, fd, address, length);
    } catch (Throwable t) {
      throw unexpected(t);
    }
    return outcome(area, result);
  }

  private static boolean interrupted(CallArea area, long result) {
    return result == -1 && area.errno() == Errno.EINTR;
  }

  private static int outcome(CallArea area, int result) {
    return result == -1 ? -area.errno() : result;
  }

  private static long outcome(CallArea area, long result) {
    return result == -1 ? -area.errno() : result;
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
  private static final class CallArea {
    private static final ThreadLocal<CallArea> OF_THREAD = ThreadLocal.withInitial(CallArea::new);

    /// Where the linker puts errno.
    final MemorySegment state;

    /// One struct iovec: address, length.
    final MemorySegment vector;

    /// One byte to read into.
    final MemorySegment probe;

    CallArea() {
      Arena arena = Arena.ofAuto();
      state = arena.allocate(Linker.Option.captureStateLayout());
      vector = arena.allocate(JAVA_LONG, 2);
      probe = arena.allocate(JAVA_BYTE, 1);
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
