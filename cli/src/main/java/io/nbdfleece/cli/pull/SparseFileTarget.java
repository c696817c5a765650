// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/// A new sparse file. It is written as `FILE.part` and gets its name at the end, so that a pull
/// that failed never looks complete. The lock on it keeps a second pull to the same file out; one
/// that a killed pull left behind is taken over.
final class SparseFileTarget implements PullTarget {
  private final Path file;
  private final Path part;
  private final RandomAccessFile access;
  private final FileChannel channel;
  private volatile boolean settled;

  private SparseFileTarget(Path file, Path part, RandomAccessFile access) {
    this.file = file;
    this.part = part;
    this.access = access;
    this.channel = access.getChannel();
  }

  /// Creates `FILE.part` with that size. `file` itself is not looked at.
  static SparseFileTarget create(Path file, long sizeBytes) throws IOException {
    SparseFileTarget target = lock(file);
    try {
      // A journal must not outlive the content that it speaks of.
      PullJournal.remove(ResumableFileTarget.journalOf(target.part));
      target.empty(sizeBytes);
      return target;
    } catch (IOException e) {
      target.close();
      throw e;
    }
  }

  /// Opens `FILE.part`, which is created when it is not there, and leaves it as it is.
  static SparseFileTarget lock(Path file) throws IOException {
    Path part = file.resolveSibling(file.getFileName() + ".part");
    RandomAccessFile access = new RandomAccessFile(part.toFile(), "rw");
    try {
      FileLock lock = lock(access.getChannel());
      if (lock == null) {
        throw new CommandFailure(
            ExitCode.BUSY,
            part + ": another pull is writing it: wait for it, or name another FILE");
      }
      if (!Files.exists(part)) {
        // Between opening and locking it, the pull that had it gave it its final name.
        throw new CommandFailure(ExitCode.BUSY, part + ": another pull has just ended: try again");
      }
      return new SparseFileTarget(file, part, access);
    } catch (IOException e) {
      access.close();
      throw e;
    }
  }

  Path part() {
    return part;
  }

  long sizeBytes() throws IOException {
    return access.length();
  }

  /// Makes it one hole of that size.
  void empty(long sizeBytes) throws IOException {
    access.setLength(0);
    access.setLength(sizeBytes);
  }

  /// Waits until what was written is on stable storage.
  void sync() throws IOException {
    channel.force(false);
  }

  /// Lets go of `FILE.part`, which stays.
  void close() throws IOException {
    access.close();
  }

  @SuppressWarnings("NullAway") // Null is what FileChannel.tryLock says for "locked by another".
  private static FileLock lock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null;
    }
  }

  @Override
  public boolean isSequential() {
    return false;
  }

  @Override
  public void data(long offsetBytes, ByteBuffer data) throws IOException {
    int limit = data.limit();
    while (data.position() < limit) {
      int start = data.position();
      int zeroEnd = ZeroBlocks.runEnd(data, start, true);
      int dataEnd = ZeroBlocks.runEnd(data, zeroEnd, false);
      data.position(zeroEnd).limit(dataEnd);
      long at = offsetBytes + (zeroEnd - start);
      while (data.hasRemaining()) {
        at += channel.write(data, at);
      }
      data.limit(limit);
      offsetBytes += dataEnd - start;
    }
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) {
    // The file is new: what is not written is a hole.
  }

  @Override
  public void finish(Sync sync) throws IOException {
    if (sync == Sync.FSYNC) {
      channel.force(true);
    }
    Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    settled = true;
    access.close();
    if (sync == Sync.FSYNC) {
      // The name is durable once the directory is.
      PullJournal.syncDirectoryOf(file);
    }
  }

  @Override
  public synchronized void discard() {
    if (settled) {
      return;
    }
    settled = true;
    try {
      Files.deleteIfExists(part);
      access.close();
    } catch (IOException e) {
      System.getLogger("nbdfleece.pull")
          .log(System.Logger.Level.WARNING, "cannot remove {0}: {1}", part, e.getMessage());
    }
  }

  @Override
  public String name() {
    return file.toString();
  }
}
