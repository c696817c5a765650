// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// A sparse file whose pull can be interrupted, by whatever it be, and gone on with: beside
/// `FILE.part` there is its journal, `FILE.part.map`.
///
/// The thread that copies writes; another one of its own syncs what was written and then notes it
/// in the journal, while copying goes on. The lock of this object guards the fields that both use.
final class ResumableFileTarget implements PullTarget {
  // What an interruption can cost at most: so much, or what came within so long.
  private static final long CHECKPOINT_BYTES = 32 << 20;
  private static final long CHECKPOINT_NANOS = 1_000_000_000L;
  private static final long CLOSE_SECONDS_MAX = 60;
  private static final Logger LOG = System.getLogger("nbdfleece.pull");

  private final SparseFileTarget part;
  private final PullJournal journal;
  private final DoneRanges before;
  private final ExecutorService syncer =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("pull-sync").factory());

  private final DoneRanges unsynced = new DoneRanges();
  private boolean checkpointing;
  private long checkpointNanos = System.nanoTime();
  private @Nullable IOException failure;
  private boolean finishing;
  private boolean settled;

  private ResumableFileTarget(SparseFileTarget part, PullJournal journal, DoneRanges before) {
    this.part = part;
    this.journal = journal;
    this.before = before;
  }

  /// Goes on with `FILE.part` if its journal is about this source; starts anew if there is none.
  /// Throws, and touches nothing, if it is about another one.
  static ResumableFileTarget open(Path file, PullSource source) throws IOException {
    SparseFileTarget part = SparseFileTarget.lock(file);
    try {
      Path map = journalOf(part.part());
      PullJournal.Content content = PullJournal.read(map);
      Optional<String> difference = content.source().flatMap(was -> was.difference(source));
      if (difference.isPresent()) {
        throw new CommandFailure(
            ExitCode.BUSY,
            part.part()
                + ": is of another source, "
                + difference.get()
                + ": pull without --resume to start over, or name another FILE");
      }
      DoneRanges done = content.done();
      if (part.sizeBytes() != source.sizeBytes() || !emptied(part, done, source)) {
        PullJournal.remove(map);
        part.empty(source.sizeBytes());
        done = new DoneRanges();
      }
      return new ResumableFileTarget(part, journal(part, map, source, done), done);
    } catch (IOException e) {
      part.close();
      throw e;
    }
  }

  static PullJournal journal(SparseFileTarget part, Path map, PullSource source, DoneRanges done)
      throws IOException {
    try {
      // The file must be there, as long as it will be, before a journal says anything of it.
      part.sync();
      return PullJournal.create(map, source, done);
    } catch (IOException e) {
      if (done.isEmpty()) {
        part.discard(); // an empty file, which nobody would look for
      }
      throw e;
    }
  }

  static Path journalOf(Path part) {
    return part.resolveSibling(part.getFileName() + ".map");
  }

  /// The files that an interrupted pull leaves, for messages.
  static String namesOf(String file) {
    return file + ".part and " + file + ".part.map";
  }

  /// What was written but not noted before a crash may be anything. It becomes a hole again, since
  /// zeroes are not written. False if this file system cannot do that.
  private static boolean emptied(SparseFileTarget part, DoneRanges done, PullSource source)
      throws IOException {
    if (done.isEmpty()) {
      return false;
    }
    try {
      for (ByteRange gap : done.gaps(source.sizeBytes())) {
        part.punchHole(gap);
      }
      return true;
    } catch (PosixException e) {
      LOG.log(Level.WARNING, "{0}: starts over: {1}", part.part(), Messages.of(e));
      return false;
    }
  }

  @Override
  public DoneRanges done() {
    return before;
  }

  @Override
  public boolean isSequential() {
    return false;
  }

  @Override
  public void data(long offsetBytes, ByteBuffer data) throws IOException {
    int lengthBytes = data.remaining();
    part.data(offsetBytes, data);
    note(new ByteRange(offsetBytes, lengthBytes));
  }

  @Override
  public void zeroes(long offsetBytes, long lengthBytes) throws IOException {
    part.zeroes(offsetBytes, lengthBytes);
    note(new ByteRange(offsetBytes, lengthBytes));
  }

  private synchronized void note(ByteRange range) throws IOException {
    if (failure != null) {
      throw new IOException(Messages.of(failure), failure);
    }
    if (settled) {
      throw new IOException("interrupted");
    }
    unsynced.add(range);
    boolean due =
        unsynced.totalBytes() >= CHECKPOINT_BYTES
            || System.nanoTime() - checkpointNanos >= CHECKPOINT_NANOS;
    if (due && !checkpointing) {
      checkpointing = true;
      syncer.execute(this::checkpoint);
    }
  }

  private void checkpoint() {
    List<ByteRange> ranges;
    synchronized (this) {
      ranges = unsynced.ranges();
      unsynced.clear();
    }
    try {
      // Only data written before the sync began may be noted: it is what was taken above.
      part.sync();
      journal.append(ranges);
      synchronized (this) {
        checkpointing = false;
        checkpointNanos = System.nanoTime();
      }
    } catch (IOException e) {
      // Never again: after a failed sync the next one may succeed without the data.
      synchronized (this) {
        failure = e;
      }
    }
  }

  @Override
  public void finish(Sync sync) throws IOException {
    endSyncer();
    synchronized (this) {
      if (failure != null) {
        throw new IOException(Messages.of(failure), failure);
      }
      if (settled) {
        throw new IOException("interrupted");
      }
      finishing = true;
      settled = true;
    }
    part.finish(sync);
    journal.close();
    PullJournal.remove(journal.path());
  }

  @Override
  public Left keep() {
    synchronized (this) {
      if (settled) {
        return left();
      }
      settled = true;
    }
    endSyncer();
    boolean sound;
    synchronized (this) {
      sound = failure == null;
    }
    if (sound) {
      checkpoint();
    }
    close();
    return Left.RESUMABLE;
  }

  /// After somebody else has settled it, or while. Holding the lock.
  private Left left() {
    if (finishing) {
      return part.giveUp() ? Left.RESUMABLE : Left.ALL;
    }
    return Files.exists(journal.path()) ? Left.RESUMABLE : Left.NOTHING;
  }

  @Override
  public void discard() {
    synchronized (this) {
      if (settled) {
        return;
      }
      settled = true;
    }
    endSyncer();
    try {
      PullJournal.remove(journal.path());
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot remove {0}: {1}", journal.path(), Messages.of(e));
    }
    part.discard();
    close();
  }

  private void close() {
    try (journal) {
      part.close();
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot close {0}: {1}", part.part(), Messages.of(e));
    }
  }

  private void endSyncer() {
    syncer.shutdown();
    try {
      if (!syncer.awaitTermination(CLOSE_SECONDS_MAX, TimeUnit.SECONDS)) {
        synchronized (this) {
          failure = new IOException(part.part() + ": the disk does not finish writing");
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      synchronized (this) {
        failure = new IOException("interrupted", e);
      }
    }
  }

  @Override
  public Optional<Path> image() {
    return part.image();
  }

  @Override
  public String name() {
    return part.name();
  }
}
