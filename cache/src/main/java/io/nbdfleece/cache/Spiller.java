// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.posix.AnonymousMemory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/// The background task of a store: takes work from the [Source] until there is none, and makes the
/// deliveries that were queued where they could not be made. At most one runs at a time.
///
/// **Threads.** Any thread may call [#want], under any lock, and then [#kick], under none of the
/// store's.
final class Spiller {
  private static final System.Logger LOG = System.getLogger(Spiller.class.getName());

  private final Source source;
  private final SlotFile file;
  private final int clusterBytes;
  private final Executor executor;
  private final Deliveries deliveries;
  private final AtomicBoolean scheduled = new AtomicBoolean();

  /// Something came up since the last look for work.
  private volatile boolean wanted;

  private volatile boolean stopped;

  Spiller(
      Source source, SlotFile file, int clusterBytes, Executor executor, Deliveries deliveries) {
    this.source = source;
    this.file = file;
    this.clusterBytes = clusterBytes;
    this.executor = executor;
    this.deliveries = deliveries;
  }

  /// Notes that there is something to do.
  void want() {
    wanted = true;
  }

  /// Has the task run if it was wanted.
  void kick() {
    if (!wanted || stopped || !scheduled.compareAndSet(false, true)) {
      return;
    }
    try {
      executor.execute(this::run);
    } catch (OutOfMemoryError noThread) {
      // Wanted still: the next kick tries again.
      scheduled.set(false);
      LOG.log(System.Logger.Level.WARNING, "no thread for spilling", noThread);
    } catch (RejectedExecutionException e) {
      if (!stopped) {
        throw e;
      }
      // Stopped and closed between the look and the call: as if it had not been wanted.
    }
  }

  /// The task does not run any more, but for a run that is under way.
  void stop() {
    stopped = true;
  }

  private void run() {
    try {
      runWhileWanted();
    } catch (RuntimeException | Error e) {
      // Without it RAM would fill up for ever: the next kick tries again.
      wanted = true;
      scheduled.set(false);
      LOG.log(System.Logger.Level.ERROR, "spilling was interrupted by an internal error", e);
    }
  }

  private void runWhileWanted() {
    do {
      wanted = false;
      deliveries.deliver();
      for (SpillWork work = source.next(); work != null; work = source.next()) {
        switch (work) {
          case SpillWork.Write write -> write(write.copies());
          case SpillWork.Punch punch -> punch(punch);
          case SpillWork.Touch touch -> AnonymousMemory.populate(touch.memory());
        }
        deliveries.deliver();
      }
      deliveries.deliver();
      scheduled.set(false);
    } while (wanted && scheduled.compareAndSet(false, true));
  }

  private void write(List<RamCopy> copies) {
    int[] checksums = new int[copies.size()];
    List<ByteBuffer> data = new ArrayList<>(checksums.length);
    for (int i = 0; i < checksums.length; i++) {
      ByteBuffer bytes = copies.get(i).slot.buffer().duplicate().clear();
      checksums[i] = Checksums.of(bytes);
      data.add(bytes.clear());
    }
    file.write(
        (long) copies.getFirst().entry * clusterBytes,
        data,
        new Completion() {
          @Override
          public void succeeded() {
            source.wrote(copies, checksums);
            finished();
          }

          @Override
          public void failed(IOException error) {
            if (copies.size() > 1) {
              writeEach(copies, error);
            } else {
              writeFailed(copies.getFirst(), error);
            }
          }
        });
  }

  /// Where there is not room for all, there is for some.
  private void writeEach(List<RamCopy> copies, IOException error) {
    for (RamCopy copy : copies) {
      if (stopped) {
        writeFailed(copy, error);
      } else {
        write(List.of(copy));
      }
    }
  }

  private void writeFailed(RamCopy copy, IOException error) {
    LOG.log(System.Logger.Level.DEBUG, "spilling failed", error);
    source.writeFailed(copy, error);
    finished();
  }

  private void punch(SpillWork.Punch punch) {
    file.punch(
        (long) punch.first() * clusterBytes,
        (long) punch.count() * clusterBytes,
        new Completion() {
          @Override
          public void succeeded() {
            source.punched(punch);
            finished();
          }

          @Override
          public void failed(IOException error) {
            // The space is ours still, and serves the next entry with that number.
            LOG.log(System.Logger.Level.DEBUG, "punching a hole failed", error);
            source.punched(punch);
            finished();
          }
        });
  }

  private void finished() {
    deliveries.deliver();
    kick();
  }

  /// Knows what there is to do, and learns how it went. Each calls [#want] when there is more.
  interface Source {

    /// The next operation, which then is under way, or null.
    @Nullable SpillWork next();

    /// @param checksums of the bytes on disk
    void wrote(List<RamCopy> copies, int[] checksums);

    /// The copy is still all there is of the entry.
    void writeFailed(RamCopy copy, IOException error);

    /// The range is free.
    void punched(SpillWork.Punch punch);
  }
}
