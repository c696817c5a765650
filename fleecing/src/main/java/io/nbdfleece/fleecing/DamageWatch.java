// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.Optional;

/// Tells of disks that have been cut behind the server's back, once each, and makes their bitmaps
/// inconsistent: they do not know of that change, so the next backup has to be a full one. It then
/// meets what is lost. The same for bitmaps of disks that are served read-only and that another
/// program writes to; their snapshots break, because what it overwrites has not been preserved.
///
/// **Threads.** One at a time for each disk, but for [#breakIfWritten].
final class DamageWatch {
  private static final String TRUNCATED = "the disk's file was truncated";
  private static final String WRITTEN =
      "another program has written to the disk, which is served read-only, so it is tracked again"
          + " only when it is served anew";

  private static final String NOT_FROZEN =
      "another program has written to the disk, which is served read-only, so it is not frozen:"
          + " take the snapshot where the disk is written, or stop that program first";

  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final EventHub events;
  private final Transactions transactions;

  DamageWatch(EventHub events, Transactions transactions) {
    this.events = events;
    this.transactions = transactions;
  }

  /// Waits for the disk.
  void look(ServedDisk disk) {
    breakIfWritten(disk);
    if (meetsDamage(disk)) {
      transactions.aloneLater(() -> loseBitmaps(disk, TRUNCATED));
    } else if (writtenByOthers(disk) && needsLosing(disk)) {
      transactions.aloneLater(() -> loseBitmaps(disk, WRITTEN));
    }
  }

  /// Breaks the snapshots of a disk that is served read-only and has been written to since the last
  /// look. Any thread.
  void breakIfWritten(ServedDisk disk) {
    if (disk.file().isEmpty()) {
      return;
    }
    synchronized (disk) { // whoever comes second finds them broken
      try {
        if (disk.file().get().changedByOthersSince()) {
          disk.hook().breakSnapshots(NOT_FROZEN);
        }
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "cannot look after disk " + disk.config().name(), e);
      }
    }
  }

  private static boolean writtenByOthers(ServedDisk disk) {
    try {
      return disk.file().isPresent() && disk.file().get().changedByOthers();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "cannot look after disk " + disk.config().name(), e);
      return false;
    }
  }

  private static boolean needsLosing(ServedDisk disk) {
    return disk.tracking().current().all().stream().anyMatch(bitmap -> !bitmap.inconsistent());
  }

  /// The last time, before the bitmaps of a disk are closed: no transaction touches them any more.
  void lookBeforeTheEnd(ServedDisk disk) {
    boolean _ = meetsDamage(disk);
    if (!needsLosing(disk)) {
      return;
    }
    if (disk.damage().isPresent()) {
      loseBitmaps(disk, TRUNCATED);
    } else if (writtenByOthers(disk)) {
      loseBitmaps(disk, WRITTEN);
    }
  }

  /// Whether it is new.
  private boolean meetsDamage(ServedDisk disk) {
    if (disk.damage().isPresent()) {
      return false;
    }
    Optional<String> found;
    try {
      found = disk.hook().damage();
    } catch (IOException e) {
      // Whoever uses the disk is told more; perhaps it has just been closed.
      LOG.log(Level.DEBUG, "cannot look after disk " + disk.config().name(), e);
      return false;
    }
    if (found.isPresent()) {
      disk.damaged(found.get());
      events.diskDamaged(disk.config().name(), found.get());
    }
    return found.isPresent();
  }

  private void loseBitmaps(ServedDisk disk, String reason) {
    DiskTracking tracking = disk.tracking();
    DiskBitmaps before = tracking.current();
    DiskBitmaps after = before.lost();
    tracking.publish(after);
    for (TrackedBitmap bitmap : before.all()) {
      if (!bitmap.inconsistent()) {
        events.bitmapInconsistent(
            disk.config().name(), bitmap.name(), bitmap.checkpoint().isPresent(), reason);
      }
    }
    StateCommit commit = new StateCommit(Optional.empty()); // of one disk
    commit.add(tracking, before, after);
    try {
      var _ = commit.run(); // nothing of it is to be sealed
    } catch (IOException e) {
      LOG.log(
          Level.ERROR,
          "it could not be noted that bitmaps of disk "
              + disk.config().name()
              + " are inconsistent; take a full backup after a crash",
          e);
    }
  }
}
