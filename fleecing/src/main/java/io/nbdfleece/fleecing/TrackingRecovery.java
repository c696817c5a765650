// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Live;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Lost;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Sealed;
import io.nbdfleece.fleecing.bitmap.BitmapContent.Still;
import io.nbdfleece.fleecing.bitmap.CheckpointChain;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Turns what the state directory holds of a disk into its bitmaps, before the disk is served, and
/// back when it is not any more. Waits for files.
final class TrackingRecovery {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private TrackingRecovery() {}

  /// The bitmaps as they were. What cannot be read is inconsistent.
  static DiskBitmaps load(String disk, long sizeBytes, DiskState state, EventHub events) {
    List<TrackedBitmap> bitmaps = new ArrayList<>();
    String finding = state.finding();
    if (!finding.isEmpty()) {
      LOG.log(Level.WARNING, "bitmaps of disk {0}: {1}", disk, finding);
    }
    for (BitmapRecord record : state.found()) {
      BitmapContent content;
      String reason = finding.isEmpty() ? "its state is damaged" : finding;
      try {
        content = content(record, state);
      } catch (IOException e) {
        content = lost(record);
        reason = "" + e.getMessage();
      }
      bitmaps.add(
          new TrackedBitmap(
              record.name(),
              record.granularityBytes(),
              content,
              true,
              record.checkpoint()
                  ? Optional.of(new TrackedBitmap.Checkpoint(record.pendingSnapshot()))
                  : Optional.empty(),
              record.created()));
      if (content instanceof Lost) {
        events.bitmapInconsistent(disk, record.name(), record.checkpoint(), reason);
      }
    }
    return DiskBitmaps.of(disk, sizeBytes, bitmaps);
  }

  private static Lost lost(BitmapRecord record) {
    return new Lost(record.content(), record.form() == BitmapRecord.Form.LIVE);
  }

  private static BitmapContent content(BitmapRecord record, DiskState state) throws IOException {
    if (record.inconsistent()) {
      return lost(record);
    }
    return switch (record.form()) {
      case LIVE -> {
        DiskState.LiveContent opened = state.open(record);
        yield record.enabled()
            ? new Live(opened.bits(), Optional.of(opened.content()))
            : new Still(opened.bits().toSet());
      }
      // Read once: a torn one is found now rather than at the next backup.
      case SEALED -> new Sealed(record.content(), state.load(record).dirtyBytes());
    };
  }

  /// Deletes the checkpoints that wait for a snapshot that is not there any more. No write may be
  /// in flight. Afterwards the state names all, also when nothing had to be deleted.
  ///
  /// @param now the time on the wall
  static void settle(ServedDisk disk, Instant now) throws IOException {
    DiskTracking tracking = disk.tracking();
    DiskBitmaps before = tracking.current();
    BitmapBench bench = new BitmapBench(tracking, now);
    DiskBitmaps after = before;
    for (TrackedBitmap checkpoint : before.checkpoints().reversed()) {
      if (checkpoint.pendingSnapshot().isPresent()) {
        after = CheckpointChain.undo(after, checkpoint.name(), bench);
        LOG.log(
            Level.WARNING,
            "checkpoint {0} of disk {1} is undone: snapshot {2} was not released with success;"
                + " the next incremental backup covers all",
            checkpoint.name(),
            before.disk(),
            checkpoint.pendingSnapshot().get());
      }
    }
    StateCommit commit = new StateCommit(Optional.empty()); // of one disk
    commit.add(tracking, before, after);
    tracking.publish(commit.run().getOrDefault(tracking, after));
  }

  /// Records that all is exact. No write may be in flight, and data must be synced.
  static void closeClean(ServedDisk disk) throws IOException {
    DiskTracking tracking = disk.tracking();
    Optional<DiskState> state = tracking.state();
    if (state.isPresent()) {
      state.get().closeClean(BitmapRecords.of(tracking.current().persistent()));
    } else {
      tracking.stateToClose().ifPresent(DiskState::close);
    }
  }
}
