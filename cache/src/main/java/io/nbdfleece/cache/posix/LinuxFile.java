// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.*;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;

/// An open file or block device. Each method is one system call that may wait, unless it says
/// otherwise. Buffers must be direct; those given move their position as channels do.
///
/// **Threads.** All methods may be called by any thread at the same time. After [#close] every call
/// fails with an [IOException]; calls that are under way finish undisturbed on the descriptor they
/// began with, and the last of them gives it back to the system.
public final class LinuxFile implements AutoCloseable {
  /// [#readNoWait]: the bytes are not in the page cache.
  public static final int WOULD_BLOCK = -1;

  /// [#readNoWait]: this file cannot tell; it will not on later calls either.
  public static final int UNSUPPORTED = -2;

  /// [#seekData], [#seekHole]: there is none up to the end of the file.
  public static final long NONE = -1;

  /// Linux silently cuts a longer read-ahead to what the device is set to, 128 KiB by default.
  private static final long READ_AHEAD_BYTES_PER_CALL = 128 << 10;

  private static final int CLOSED = Integer.MIN_VALUE;

  private final int fd;
  private final Path path;
  private final Kind kind;
  private final boolean neverWaits;

  /// Calls under way, plus [#CLOSED] once closed. Who takes it to exactly CLOSED closes the
  /// descriptor, so that no call ever meets a number that the system has given to another file.
  private final AtomicInteger calls = new AtomicInteger();

  private volatile boolean noWaitUnsupported;

  /// Binds the system calls, which the first file does otherwise and takes a fifth of a second on a
  /// cold JVM. Any thread.
  public static void bindCalls() {
    LinuxCalls.bind();
  }

  private LinuxFile(int fd, Path path) throws IOException {
    this.fd = fd;
    this.path = path;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment area = arena.allocate(STAT_BYTES, 8);
      check("stat", LinuxCalls.fstat(fd, area));
      int mode = area.get(ValueLayout.JAVA_INT, STAT_MODE_OFFSET) & S_IFMT;
      this.kind = mode == S_IFREG ? Kind.REGULAR : mode == S_IFBLK ? Kind.BLOCK : Kind.OTHER;
      check("statfs", LinuxCalls.fstatfs(fd, area));
      long type = area.get(ValueLayout.JAVA_LONG, STATFS_TYPE_OFFSET) & 0xFFFF_FFFFL;
      // A device node in /dev lies on a tmpfs, but its data does not.
      this.neverWaits = kind == Kind.REGULAR && (type == TMPFS_MAGIC || type == RAMFS_MAGIC);
    }
  }

  /// What may be done with the file.
  public enum Access {
    READ_ONLY,
    READ_WRITE
  }

  /// What the file is.
  public enum Kind {
    REGULAR,
    BLOCK,
    /// A directory, pipe, socket or character device: of no use as a disk.
    OTHER
  }

  /// Opens an existing file or block device. A pipe without a peer does not make this wait.
  public static LinuxFile open(Path path, Access access) throws IOException {
    int flags = O_CLOEXEC | O_NONBLOCK | (access == Access.READ_WRITE ? O_RDWR : O_RDONLY);
    return opened(openDescriptor(path, flags), path);
  }

  /// Makes a new file, readable and writable by its owner only. Fails when the name is taken.
  public static LinuxFile create(Path path) throws IOException {
    return opened(openDescriptor(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC), path);
  }

  /// Creates a file without a name in `directory`, readable and writable by nobody else. It
  /// vanishes when it is closed or the process ends, however it ends.
  public static LinuxFile createUnnamed(Path directory) throws IOException {
    int fd = openRaw(directory, O_TMPFILE | O_RDWR | O_CLOEXEC);
    return switch (-fd) {
      // File systems without O_TMPFILE say one of the first two, kernels without it the third.
      case Errno.EOPNOTSUPP, Errno.EINVAL, Errno.EISDIR -> createAndUnlink(directory);
      default -> {
        if (fd < 0) {
          throw new PosixException("create a file in " + directory, -fd);
        }
        yield opened(fd, directory);
      }
    };
  }

  /// The way of [#createUnnamed] where the file system has no unnamed files.
  static LinuxFile createAndUnlink(Path directory) throws IOException {
    Path name = directory.resolve(".nbdfleece-" + UUID.randomUUID());
    int fd = openDescriptor(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC);
    try {
      Files.delete(name);
    } catch (IOException e) {
      LinuxCalls.close(fd);
      throw e;
    }
    return opened(fd, directory);
  }

  private static LinuxFile opened(int fd, Path path) throws IOException {
    try {
      LinuxFile file = new LinuxFile(fd, path);
      // O_NONBLOCK was for the open alone.
      file.check("fcntl", LinuxCalls.fcntl(fd, F_SETFL, 0));
      return file;
    } catch (IOException | RuntimeException e) {
      LinuxCalls.close(fd);
      throw e;
    }
  }

  private static int openDescriptor(Path path, int flags) throws IOException {
    int fd = openRaw(path, flags);
    if (fd < 0) {
      throw new PosixException("open " + path, -fd);
    }
    return fd;
  }

  private static int openRaw(Path path, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      return LinuxCalls.open(arena.allocateFrom(path.toString()), flags, 0600);
    }
  }

  /// The bytes that an unprivileged user may still write to the file system of `path`.
  public static long freeBytes(Path path) throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment area = arena.allocate(STATFS_BYTES, 8);
      int result = LinuxCalls.statfs(arena.allocateFrom(path.toString()), area);
      if (result < 0) {
        throw new PosixException("statfs " + path, -result);
      }
      return Math.multiplyExact(
          area.get(ValueLayout.JAVA_LONG, STATFS_BAVAIL_OFFSET),
          area.get(ValueLayout.JAVA_LONG, STATFS_FRSIZE_OFFSET));
    }
  }

  /// The path it was opened with; of an unnamed file the directory.
  public Path path() {
    return path;
  }

  /// Leads to this very file as long as it is open, wherever it has been moved to.
  public Path descriptorPath() {
    return Path.of("/proc/self/fd", Integer.toString(fd));
  }

  /// What the file is. Does not wait.
  public Kind kind() {
    return kind;
  }

  /// Whether the data lies in memory (tmpfs, ramfs), so that no call waits for a device. Does not
  /// wait.
  public boolean neverWaits() {
    return neverWaits;
  }

  /// Reads up to `target.remaining()` bytes.
  ///
  /// @return the bytes read, maybe fewer than asked for; 0 at the end of the file
  public int read(ByteBuffer target, long offsetBytes) throws IOException {
    MemorySegment segment = CallBuffers.segmentOf(target);
    int _ = enter();
    try {
      return CallBuffers.advance(target, check("read", LinuxCalls.pread(fd, segment, offsetBytes)));
    } finally {
      leave();
    }
  }

  /// Like [#read], of what is in the page cache only. Does not wait.
  ///
  /// @return the bytes read, 0 at the end of the file, [#WOULD_BLOCK], or [#UNSUPPORTED]
  public int readNoWait(ByteBuffer target, long offsetBytes) throws IOException {
    if (noWaitUnsupported) {
      return UNSUPPORTED;
    }
    MemorySegment segment = CallBuffers.segmentOf(target);
    int _ = enter();
    try {
      int count = noWaitOutcome(LinuxCalls.preadv2(fd, segment, offsetBytes, RWF_NOWAIT));
      return count < 0 ? count : CallBuffers.advance(target, count);
    } finally {
      leave();
    }
  }

  /// Like [#readNoWait], into what remains of several buffers one after the other; one system call,
  /// so maybe not into all of them.
  public int readNoWait(List<ByteBuffer> targets, long offsetBytes) throws IOException {
    if (noWaitUnsupported) {
      return UNSUPPORTED;
    }
    int count = CallBuffers.partsOf(targets);
    int flags = neverWaits ? 0 : RWF_NOWAIT;
    int _ = enter();
    try {
      int read = noWaitOutcome(LinuxCalls.preadv2(fd, targets, count, offsetBytes, flags));
      return read < 0 ? read : CallBuffers.advance(targets, read);
    } finally {
      leave();
    }
  }

  /// Tells whether the byte at an offset is in the page cache. Does not wait.
  ///
  /// @return 1 if it is, 0 if it lies behind the end of the file, [#WOULD_BLOCK] if it is not, or
  ///   [#UNSUPPORTED]
  public int probeNoWait(long offsetBytes) throws IOException {
    if (noWaitUnsupported) {
      return UNSUPPORTED;
    }
    int _ = enter();
    try {
      return noWaitOutcome(LinuxCalls.probe(fd, offsetBytes, RWF_NOWAIT));
    } finally {
      leave();
    }
  }

  private int noWaitOutcome(long result) throws IOException {
    if (result == -Errno.EAGAIN) {
      return WOULD_BLOCK;
    }
    if (result == -Errno.EOPNOTSUPP || result == -Errno.ENOSYS) {
      noWaitUnsupported = true;
      return UNSUPPORTED;
    }
    return (int) check("read", result);
  }

  /// Writes up to `source.remaining()` bytes.
  ///
  /// @return the bytes written, maybe fewer than asked for
  public int write(ByteBuffer source, long offsetBytes) throws IOException {
    MemorySegment segment = CallBuffers.segmentOf(source);
    int _ = enter();
    try {
      return CallBuffers.advance(
          source, check("write", LinuxCalls.pwrite(fd, segment, offsetBytes)));
    } finally {
      leave();
    }
  }

  /// Like [#write], of what remains of several buffers one after the other; one system call, so
  /// maybe not of all of them.
  public int write(List<ByteBuffer> sources, long offsetBytes) throws IOException {
    int count = CallBuffers.partsOf(sources);
    int _ = enter();
    try {
      long written = LinuxCalls.pwritev2(fd, sources, count, offsetBytes, 0);
      return CallBuffers.advance(sources, check("write", written));
    } finally {
      leave();
    }
  }

  /// Like [#write]; the bytes written are on stable storage at the return.
  public int writeDurable(ByteBuffer source, long offsetBytes) throws IOException {
    MemorySegment segment = CallBuffers.segmentOf(source);
    int _ = enter();
    try {
      return CallBuffers.advance(
          source, check("write", LinuxCalls.pwritev2(fd, segment, offsetBytes, RWF_DSYNC)));
    } finally {
      leave();
    }
  }

  /// After the return every write that ended before the call is on stable storage. After a failure
  /// the system may have dropped the data: a later success proves nothing.
  public void dataSync() throws IOException {
    int _ = enter();
    try {
      check("fdatasync", LinuxCalls.fdatasync(fd));
    } finally {
      leave();
    }
  }

  /// Like [#dataSync], and what the system notes about the file too: of a directory its names, of a
  /// file the time of its last change.
  public void sync() throws IOException {
    int _ = enter();
    try {
      check("fsync", LinuxCalls.fsync(fd));
    } finally {
      leave();
    }
  }

  /// Makes the file at least so long, with space allocated for all of it: writing there does not
  /// run out of space later. What is new reads as zeroes.
  public void preallocate(long sizeBytes) throws IOException {
    int _ = enter();
    try {
      check("allocate space for", LinuxCalls.fallocate(fd, 0, 0, sizeBytes));
    } finally {
      leave();
    }
  }

  /// Frees the space of a range, which reads as zeroes then; the size of the file stays. On a block
  /// device this discards with zeroes guaranteed and wants whole logical blocks.
  public void punchHole(long offsetBytes, long lengthBytes) throws IOException {
    allocate("punch hole in", FALLOC_FL_PUNCH_HOLE, offsetBytes, lengthBytes);
  }

  /// Makes a range read as zeroes and keeps its space allocated; the size of the file stays. On a
  /// block device it wants whole logical blocks.
  public void zeroRange(long offsetBytes, long lengthBytes) throws IOException {
    allocate("zero a range of", FALLOC_FL_ZERO_RANGE, offsetBytes, lengthBytes);
  }

  private void allocate(String operation, int mode, long offsetBytes, long lengthBytes)
      throws IOException {
    int _ = enter();
    try {
      check(
          operation,
          LinuxCalls.fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offsetBytes, lengthBytes));
    } finally {
      leave();
    }
  }

  /// Starts to bring a range into the page cache. A hint: what cannot read ahead does nothing. Many
  /// system calls, which wait only when the device has no room for further requests.
  public void readAhead(long offsetBytes, long lengthBytes) throws IOException {
    long end = Math.addExact(offsetBytes, lengthBytes);
    for (long at = offsetBytes; at < end; at += READ_AHEAD_BYTES_PER_CALL) {
      enter();
      try {
        long result = LinuxCalls.readahead(fd, at, Math.min(end - at, READ_AHEAD_BYTES_PER_CALL));
        if (result == -Errno.EINVAL || result == -Errno.EOPNOTSUPP) {
          return;
        }
        check("read ahead in", result);
      } finally {
        leave();
      }
    }
  }

  /// Sets the size of a regular file.
  public void truncate(long sizeBytes) throws IOException {
    int _ = enter();
    try {
      check("truncate", LinuxCalls.ftruncate(fd, sizeBytes));
    } finally {
      leave();
    }
  }

  /// The size of the file or block device now.
  public long sizeBytes() throws IOException {
    int _ = enter();
    try {
      return check("find the size of", LinuxCalls.lseek(fd, 0, SEEK_END));
    } finally {
      leave();
    }
  }

  /// The next offset from `offsetBytes` on that may hold data, or [#NONE] when only a hole, or
  /// nothing, follows. What cannot tell (a block device) is all data.
  public long seekData(long offsetBytes) throws IOException {
    return seek(offsetBytes, SEEK_DATA);
  }

  /// The next offset from `offsetBytes` on that is in a hole; the end of the file counts as one.
  /// [#NONE] when `offsetBytes` is at or behind the end.
  public long seekHole(long offsetBytes) throws IOException {
    return seek(offsetBytes, SEEK_HOLE);
  }

  private long seek(long offsetBytes, int whence) throws IOException {
    int _ = enter();
    try {
      long result = LinuxCalls.lseek(fd, offsetBytes, whence);
      if (result == -Errno.ENXIO) {
        return NONE;
      }
      if (result == -Errno.EINVAL || result == -Errno.EOPNOTSUPP) {
        long size = check("find the size of", LinuxCalls.lseek(fd, 0, SEEK_END));
        return offsetBytes >= size ? NONE : whence == SEEK_DATA ? offsetBytes : size;
      }
      return check("seek in", result);
    } finally {
      leave();
    }
  }

  /// The unit that a block device reads and writes; 1 for other files.
  public int logicalBlockBytes() throws IOException {
    if (kind != Kind.BLOCK) {
      return 1;
    }
    int _ = enter();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment area = arena.allocate(ValueLayout.JAVA_INT);
      check("find the block size of", LinuxCalls.ioctl(fd, BLKSSZGET, area));
      return area.get(ValueLayout.JAVA_INT, 0);
    } finally {
      leave();
    }
  }

  /// One F_OFD_ command on one byte; returns the l_type that the system left in the structure.
  short lockByte(int command, short type, long offsetBytes) throws IOException {
    int _ = enter();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment flock = arena.allocate(FLOCK_BYTES, 8);
      flock.set(ValueLayout.JAVA_SHORT, FLOCK_TYPE_OFFSET, type);
      flock.set(ValueLayout.JAVA_LONG, FLOCK_START_OFFSET, offsetBytes);
      flock.set(ValueLayout.JAVA_LONG, FLOCK_LENGTH_OFFSET, 1);
      check("lock", LinuxCalls.fcntl(fd, command, flock.address()));
      return flock.get(ValueLayout.JAVA_SHORT, FLOCK_TYPE_OFFSET);
    } finally {
      leave();
    }
  }

  /// Gives the descriptor back, with the locks held through it, at once or when the last call under
  /// way is over. Repeating it does nothing.
  @Override
  public void close() throws IOException {
    int before = calls.getAndUpdate(count -> count | CLOSED);
    if (before == 0) {
      check("close", LinuxCalls.close(fd));
    }
  }

  /// Begins a call, which keeps the descriptor from being closed until [#leave].
  ///
  /// @return the descriptor
  int enter() throws IOException {
    int count;
    do {
      count = calls.get();
      if (count < 0) {
        throw new IOException("file is closed: " + path);
      }
    } while (!calls.weakCompareAndSetVolatile(count, count + 1));
    return fd;
  }

  void leave() {
    if (calls.decrementAndGet() == CLOSED) {
      LinuxCalls.close(fd);
    }
  }

  private long check(String operation, long result) throws PosixException {
    if (result < 0) {
      throw new PosixException(operation + " " + path, (int) -result);
    }
    return result;
  }
}
