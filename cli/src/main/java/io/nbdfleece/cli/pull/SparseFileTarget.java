// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import java.util.Optional;

/// A new sparse file. It is written as `FILE.part` and gets its name at the end, so that a pull
/// that failed never looks complete. The lock on it keeps a second pull to the same file out, and
/// QEMU; one that a killed pull left behind is taken over.
final class SparseFileTarget implements PullTarget {
  /* The lock belongs to `locked`, an open file, and stands until that is closed. FileChannel.lock
   * would not do: such a lock belongs to the process, which loses it as soon as it closes the file
   * anywhere. */

  private final Path file;
  private final Path part;
  private final LinuxFile locked;
  private final FileChannel channel;
  // Both under the lock of this object: it has its name, or was given up.
  private boolean finished;
  private boolean settled;

  private SparseFileTarget(Path file, Path part, LinuxFile locked, FileChannel channel) {
    this.file = file;
    this.part = part;
    this.locked = locked;
    this.channel = channel;
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
      target.discard();
      throw e;
    }
  }

  /// Opens `FILE.part`, which is created when it is not there, and leaves it as it is.
  static SparseFileTarget lock(Path file) throws IOException {
    Path part = file.resolveSibling(file.getFileName() + ".part");
    createIfAbsent(part);
    try {
      // While it is opened and locked, the pull that had it may give it its final name. That the
      // name stood for one file before and after tells that both opened that one.
      Object key = keyOf(part);
      LinuxFile locked = LinuxFile.open(part, LinuxFile.Access.READ_WRITE);
      try {
        ImageLock.acquire(locked, LinuxFile.Access.READ_WRITE); // held until the file is closed
        FileChannel channel = FileChannel.open(part, StandardOpenOption.WRITE);
        SparseFileTarget target = new SparseFileTarget(file, part, locked, channel);
        if (!key.equals(keyOf(part))) {
          channel.close();
          throw new NoSuchFileException(part.toString());
        }
        return target;
      } catch (IOException e) {
        try {
          locked.close();
        } catch (IOException closing) {
          e.addSuppressed(closing);
        }
        throw e;
      }
    } catch (ImageInUseException e) {
      throw new CommandFailure(
          ExitCode.BUSY,
          part + ": another pull is writing it: wait for it, or name another FILE",
          e);
    } catch (NoSuchFileException e) {
      throw new CommandFailure(ExitCode.BUSY, part + ": another pull has just ended: try again", e);
    }
  }

  private static void createIfAbsent(Path part) throws IOException {
    try {
      Path _ = Files.createFile(part);
    } catch (FileAlreadyExistsException e) {
      // Left behind by a pull, or one is writing it: the lock tells.
      assert e.getFile() != null;
    }
  }

  private static Object keyOf(Path path) throws IOException {
    return Objects.requireNonNull(
        Files.readAttributes(path, BasicFileAttributes.class).fileKey(), "key of a Linux file");
  }

  Path part() {
    return part;
  }

  long sizeBytes() throws IOException {
    return locked.sizeBytes();
  }

  /// Makes it one hole of that size.
  void empty(long sizeBytes) throws IOException {
    locked.truncate(0);
    locked.truncate(sizeBytes);
  }

  /// Makes a range a hole again, if the file system can do that.
  void punchHole(ByteRange range) throws IOException {
    locked.punchHole(range.offsetBytes(), range.lengthBytes());
  }

  /// Waits until what was written is on stable storage.
  void sync() throws IOException {
    force(false);
  }

  private void force(boolean metadata) throws IOException {
    try {
      channel.force(metadata);
    } catch (IOException e) {
      throw unwritable(part, e);
    }
  }

  /// Java names no file when a write fails.
  static IOException unwritable(Path path, IOException error) {
    return error instanceof ClosedChannelException
        ? error // somebody has given up
        : new CommandFailure(
            ExitCode.FAILED,
            path + ": " + Messages.of(error) + ": make room there, or name a FILE elsewhere",
            error);
  }

  /// Lets go of `FILE.part`, which stays.
  void close() throws IOException {
    try (locked) {
      channel.close();
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
      write(data, at);
      data.limit(limit);
      offsetBytes += dataEnd - start;
    }
  }

  private void write(ByteBuffer data, long offsetBytes) throws IOException {
    try {
      while (data.hasRemaining()) {
        offsetBytes += channel.write(data, offsetBytes);
      }
    } catch (IOException e) {
      throw unwritable(part, e);
    }
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) {
    // The file is new: what is not written is a hole.
  }

  @Override
  public void finish(Sync sync) throws IOException {
    if (sync == Sync.FSYNC) {
      force(true);
    }
    synchronized (this) {
      if (settled) {
        throw new IOException("interrupted");
      }
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      finished = true;
      settled = true;
    }
    close();
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
      close();
    } catch (IOException e) {
      System.getLogger("nbdfleece.pull")
          .log(System.Logger.Level.WARNING, "cannot remove {0}: {1}", part, e.getMessage());
    }
  }

  /// Whether it has its name, or was given up: [#finish] fails then, and [#discard] does nothing.
  synchronized boolean isSettled() {
    return settled;
  }

  /// Gives up but leaves `FILE.part` there, unless [#finish] has succeeded.
  ///
  /// @return whether it was given up
  synchronized boolean giveUp() {
    settled = true;
    return !finished;
  }

  /// Whether it has its name.
  synchronized boolean isFinished() {
    return finished;
  }

  @Override
  public synchronized Left keep() {
    discard();
    return finished ? Left.ALL : Left.NOTHING;
  }

  @Override
  public Optional<Path> image() {
    return Optional.of(file);
  }

  @Override
  public String name() {
    return file.toString();
  }
}
