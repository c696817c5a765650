// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.PosixException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/// Reads entries from the disk tier and checks them. A checksum covers a whole cluster, so a part
/// is read through a buffer that holds all of it.
final class DiskReader {
  private static final int SPARE_BUFFERS_MAX = 16;

  private final SlotFile file;
  private final int clusterBytes;
  private final BlockingQueue<ByteBuffer> spare = new ArrayBlockingQueue<>(SPARE_BUFFERS_MAX);

  DiskReader(SlotFile file, int clusterBytes) {
    this.file = file;
    this.clusterBytes = clusterBytes;
  }

  /// Fills `target`, of which the position moves, with the bytes at `offsetBytes` of an entry. What
  /// cannot be read, or is not what was written, is read once more: a fault on the way is no loss.
  /// The second time it is an [EntryLostException].
  ///
  /// @param checksum what the entry's bytes must have
  void read(int entry, int checksum, int offsetBytes, ByteBuffer target, Completion done) {
    if (target.remaining() == clusterBytes && target.isDirect()) {
      new WholeRead(entry, checksum, target.duplicate(), done) {
        @Override
        void intact() {
          target.position(target.limit());
          done.succeeded();
        }
      }.start();
      return;
    }
    ByteBuffer pooled = spare.poll();
    ByteBuffer whole;
    try {
      whole = pooled == null ? ByteBuffer.allocateDirect(clusterBytes) : pooled;
    } catch (OutOfMemoryError noBuffer) {
      // Of this read alone: the entry is not lost, and whoever waits must hear of it.
      done.failed(new IOException("no memory to read a preserved cluster now", noBuffer));
      return;
    }
    new WholeRead(entry, checksum, whole.clear(), done) {
      @Override
      void intact() {
        int length = target.remaining();
        target.put(target.position(), whole, offsetBytes, length);
        target.position(target.limit());
        recycle(whole);
        done.succeeded();
      }

      @Override
      void given(IOException error) {
        recycle(whole);
        done.failed(error);
      }
    }.start();
  }

  private void recycle(ByteBuffer buffer) {
    // When there are spares enough the collector takes it.
    boolean kept = spare.offer(buffer);
    assert kept || spare.size() > 0;
  }

  /// Reads all of an entry and checks it, at most twice.
  private abstract class WholeRead implements Completion {
    private final int entry;
    private final int checksum;
    private final ByteBuffer bytes;
    private final Completion done;
    private boolean again;

    /// @param bytes what remains of it is to be filled, and is left as it is
    WholeRead(int entry, int checksum, ByteBuffer bytes, Completion done) {
      this.entry = entry;
      this.checksum = checksum;
      this.bytes = bytes;
      this.done = done;
    }

    final void start() {
      file.read((long) entry * clusterBytes, bytes.duplicate(), this);
    }

    abstract void intact();

    void given(IOException error) {
      done.failed(error);
    }

    @Override
    public final void succeeded() {
      if (Checksums.of(bytes.duplicate()) == checksum) {
        intact();
      } else {
        wrong(damaged());
      }
    }

    @Override
    public final void failed(IOException error) {
      wrong(error instanceof PosixException posix && isOfTheDevice(posix) ? unread(posix) : error);
    }

    private void wrong(IOException error) {
      if (again) {
        given(error);
      } else {
        again = true;
        start();
      }
    }

    private EntryLostException damaged() {
      return new EntryLostException(
          "preserved cluster is damaged in the scratch file (checksum differs, " + where() + ")");
    }

    private EntryLostException unread(IOException error) {
      return new EntryLostException(
          "preserved cluster cannot be read from the scratch file ("
              + error.getMessage()
              + ", "
              + where()
              + ")",
          error);
    }

    private String where() {
      return "entry=" + entry + ", offset=" + (long) entry * clusterBytes;
    }
  }

  /// Rather than of the machine's state at that moment.
  private static boolean isOfTheDevice(PosixException error) {
    return switch (error.errno()) {
      case Errno.ENOMEM, Errno.EAGAIN, Errno.EINTR, Errno.EBADF -> false;
      default -> true;
    };
  }
}
