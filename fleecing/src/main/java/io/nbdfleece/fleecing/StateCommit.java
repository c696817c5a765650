// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Makes the new configurations of a transaction's disks durable: all of them or none. Waits for
/// files. Used by one thread.
///
/// The list of one disk is replaced in one step. With several disks each list first names the old
/// contents too, so that there is a way back when the list of a later disk cannot be written; once
/// all are written, the old contents are dropped.
final class StateCommit {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final List<Change> changes = new ArrayList<>();
  private final List<Change> written = new ArrayList<>();

  /// The lists of one disk.
  private static final class Change {
    final ServedDisk disk;
    final DiskState state;
    final DiskBitmaps after;
    final List<String> sealedFiles = new ArrayList<>();
    final List<BitmapRecord> recordsBefore;
    List<BitmapRecord> recordsAfter = List.of();

    Change(ServedDisk disk, DiskState state, DiskBitmaps before, DiskBitmaps after) {
      this.disk = disk;
      this.state = state;
      this.after = after;
      this.recordsBefore = BitmapRecords.of(before.persistent());
    }
  }

  /// Adds a disk whose persistent bitmaps differ.
  void add(ServedDisk disk, DiskState state, DiskBitmaps before, DiskBitmaps after) {
    if (!before.persistent().equals(after.persistent())) {
      changes.add(new Change(disk, state, before, after));
    }
  }

  /// @return for each disk the configuration with its sets in files. After a failure, which is
  ///   thrown, the lists are what they were.
  Map<ServedDisk, DiskBitmaps> run() throws IOException {
    try {
      Map<ServedDisk, DiskBitmaps> sealed = new LinkedHashMap<>();
      for (Change change : changes) {
        DiskBitmaps inFiles = seal(change);
        sealed.put(change.disk, inFiles);
        change.recordsAfter = BitmapRecords.of(inFiles.persistent());
      }
      for (Change change : changes) {
        change.state.commit(changes.size() == 1 ? change.recordsAfter : keepingBoth(change));
        written.add(change);
      }
      changes.forEach(change -> change.disk.tracking().layGhosts());
      return sealed;
    } catch (IOException | RuntimeException e) {
      returnToOld(e);
      throw e;
    }
  }

  private static DiskBitmaps seal(Change change) throws IOException {
    DiskBitmaps inFiles = change.after;
    for (TrackedBitmap bitmap : change.after.persistent()) {
      if (bitmap.content() instanceof BitmapContent.Still still) {
        String file = change.state.seal(still.set());
        change.sealedFiles.add(file);
        inFiles =
            inFiles.with(bitmap.movedTo(new BitmapContent.Sealed(file, still.set().dirtyBytes())));
      }
    }
    return inFiles;
  }

  private static List<BitmapRecord> keepingBoth(Change change) {
    List<BitmapRecord> both = new ArrayList<>(change.recordsAfter);
    Set<String> named = new LinkedHashSet<>();
    change.recordsAfter.forEach(record -> named.add(record.content()));
    for (BitmapRecord old : change.recordsBefore) {
      if (named.add(old.content())) {
        both.add(BitmapRecords.keeping(old, both.size()));
      }
    }
    return both;
  }

  /// Drops the old contents. To be called when no write is marked in them any more.
  void finish() {
    if (changes.size() == 1) {
      return;
    }
    for (Change change : changes) {
      try {
        change.state.commit(change.recordsAfter);
      } catch (IOException e) {
        // A list that keeps an old content too is not wrong, and the next commit drops it.
        LOG.log(
            System.Logger.Level.WARNING,
            "disk {0}: old files stay in its state for now: {1}",
            change.disk.config().name(),
            e.getMessage());
      }
    }
  }

  private void returnToOld(Exception because) {
    for (Change change : written) {
      try {
        change.state.commit(change.recordsBefore);
      } catch (IOException | RuntimeException e) {
        because.addSuppressed(e);
        // The list names the new arrays, and may be what a next start finds: keep them true.
        change.disk.tracking().haunt(change.after);
      }
    }
    for (Change change : changes) {
      if (!change.disk.tracking().isHaunted()) {
        change.state.discard(change.sealedFiles);
      }
    }
  }
}
