// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static io.nbdfleece.cache.posix.LinuxConstants.MSG_DONTWAIT;
import static io.nbdfleece.cache.posix.LinuxConstants.MSG_MORE;
import static io.nbdfleece.cache.posix.LinuxConstants.MSG_NOSIGNAL;
import static io.nbdfleece.cache.posix.LinuxConstants.RWF_NOWAIT;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/// Puts bytes of a file into sockets without copying them: the socket gets references to the pages
/// of the page cache. What is written to the file before the other side has taken them out of its
/// socket changes what it gets, so this is only for readers who may get either.
///
/// Any thread.
public final class FileSender {
  private static final int PAGE_BYTES = 4096;
  private static final int LOOK_EVERY_BYTES = 64 << 10;

  private final LinuxFile file;
  private final CutWatch watch;

  /// Linux before 6.5, a file system without, or a filter of system calls in the way.
  private volatile boolean cachedUnknown;

  /// @param watch of the same file
  public FileSender(LinuxFile file, CutWatch watch) {
    this.file = file;
    this.watch = watch;
  }

  /// Whether a range is worth sending so: all of it is in the page cache, so that no device is
  /// waited for, and it has no long zeroes, which need not be sent at all. Does not wait. False
  /// where the system does not tell what is in the page cache.
  ///
  /// @param lengthBytes at least 8
  public boolean isReady(long offsetBytes, long lengthBytes) throws IOException {
    if (cachedUnknown) {
      return false;
    }
    long first = offsetBytes / PAGE_BYTES;
    long last = (offsetBytes + lengthBytes - 1) / PAGE_BYTES;
    int fd = file.enter();
    try {
      long pages = LinuxCalls.cachedPages(fd, offsetBytes, lengthBytes);
      if (pages < 0) {
        cachedUnknown = true;
        return false;
      }
      return pages == last - first + 1 && looksLikeData(fd, offsetBytes, lengthBytes);
    } finally {
      file.leave();
    }
  }

  /// Looks here and there. Finds long zeroes, and pages that are in the page cache but still being
  /// read: a device reads ahead much more than lies between two looks.
  private boolean looksLikeData(int fd, long offsetBytes, long lengthBytes) {
    int flags = file.neverWaits() ? 0 : RWF_NOWAIT;
    for (long at = 0; at < lengthBytes - Long.BYTES; at += LOOK_EVERY_BYTES) {
      if (!LinuxCalls.isDataAt(fd, offsetBytes + at, flags)) {
        return false;
      }
    }
    return LinuxCalls.isDataAt(fd, offsetBytes + lengthBytes - Long.BYTES, flags);
  }

  /// Puts `head` and the bytes of the range behind it into a socket that does not block, as far as
  /// there is room.
  ///
  /// @param head direct; its position moves on by what went of it
  /// @return how many bytes of the range went; 0 when there was no room for any
  /// @throws EOFException when the file ends before the range begins
  /// @throws IOException when any of the range has been lost by a cut: then nothing went, unless
  ///   the cut was met while it did
  public int send(int socket, ByteBuffer head, long offsetBytes, int lengthBytes)
      throws IOException {
    watch.requireKept(offsetBytes, offsetBytes + lengthBytes);
    if (head.hasRemaining() && !sendHead(socket, head)) {
      return 0;
    }
    long count;
    int fd = file.enter();
    try {
      count = SocketCalls.sendfile(socket, fd, offsetBytes, lengthBytes);
    } finally {
      file.leave();
    }
    if (count == 0) {
      throw new EOFException(file.path() + " has become shorter: it ends before " + offsetBytes);
    }
    if (count == -Errno.EAGAIN) {
      return 0;
    }
    watch.requireKept(offsetBytes, offsetBytes + checked(count));
    return (int) count;
  }

  /// Whether all of it went.
  private boolean sendHead(int socket, ByteBuffer head) throws IOException {
    // MSG_MORE: in one packet with what follows.
    long count =
        SocketCalls.send(
            socket, MemorySegment.ofBuffer(head), MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
    if (count != -Errno.EAGAIN) {
      head.position(head.position() + (int) checked(count));
    }
    return !head.hasRemaining();
  }

  private long checked(long count) throws PosixException {
    if (count < 0) {
      throw new PosixException("send " + file.path(), (int) -count);
    }
    return count;
  }
}
