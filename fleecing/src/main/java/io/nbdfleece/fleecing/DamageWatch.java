// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.Optional;

/// Tells of disks that have been cut behind the server's back, once each, and makes their bitmaps
/// inconsistent: they do not know of that change, so the next backup has to be a full one. It then
/// meets what is lost.
///
/// **Threads.** One at a time for each disk.
final class DamageWatch {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final EventHub events;
  private final Transactions transactions;

  DamageWatch(EventHub events, Transactions transactions) {
    this.events = events;
    this.transactions = transactions;
  }

  /// Waits for the disk.
  void look(ServedDisk disk) {
    if (disk.damage().isPresent()) {
      return;
    }
    Optional<String> found;
    try {
      found = disk.hook().damage();
    } catch (IOException e) {
      // Whoever uses the disk is told more; perhaps it has just been closed.
      LOG.log(Level.DEBUG, "cannot look after disk " + disk.config().name(), e);
      return;
    }
    if (found.isPresent()) {
      disk.damaged(found.get());
      events.diskDamaged(disk.config().name(), found.get());
      transactions.aloneLater(() -> loseBitmaps(disk));
    }
  }

  private void loseBitmaps(ServedDisk disk) {
    DiskTracking tracking = disk.tracking();
    DiskBitmaps before = tracking.current();
    DiskBitmaps after = before.lost();
    tracking.publish(after);
    for (TrackedBitmap bitmap : before.all()) {
      if (!bitmap.inconsistent()) {
        events.bitmapInconsistent(
            disk.config().name(),
            bitmap.name(),
            bitmap.checkpoint().isPresent(),
            "the disk's file was truncated");
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
