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
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Makes the new configurations of a transaction's disks durable: all of them or none, also when
/// the process ends meanwhile. Waits for files. Used by one thread.
final class StateCommit {
  private final Optional<DiskStates> states;
  private final List<Change> changes = new ArrayList<>();

  /// One disk.
  ///
  /// @param sealedFiles sets that were written for it
  private record Change(
      DiskTracking owner, DiskState state, DiskBitmaps after, List<String> sealedFiles) {}

  /// @param states where those of all disks are
  StateCommit(Optional<DiskStates> states) {
    this.states = states;
  }

  /// Adds a disk, if it has a state and its persistent bitmaps differ.
  void add(DiskTracking owner, DiskBitmaps before, DiskBitmaps after) {
    Optional<DiskState> state = owner.state();
    if (state.isPresent() && !before.persistent().equals(after.persistent())) {
      changes.add(new Change(owner, state.get(), after, new ArrayList<>()));
    }
  }

  /// @return for each disk the configuration with its sets in files. After a failure, which is
  ///   thrown, the lists are what they were.
  Map<DiskTracking, DiskBitmaps> run() throws IOException {
    Map<DiskTracking, DiskBitmaps> sealed = new LinkedHashMap<>();
    Map<DiskState, List<BitmapRecord>> lists = new LinkedHashMap<>();
    try {
      for (Change change : changes) {
        DiskBitmaps inFiles = seal(change);
        sealed.put(change.owner, inFiles);
        lists.put(change.state, BitmapRecords.of(inFiles.persistent()));
      }
      if (lists.size() > 1) {
        states.orElseThrow().commit(lists);
      } else {
        for (Map.Entry<DiskState, List<BitmapRecord>> only : lists.entrySet()) {
          only.getKey().commit(only.getValue());
        }
      }
      return sealed;
    } catch (IOException | RuntimeException e) {
      changes.forEach(change -> change.state.discard(change.sealedFiles));
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
}
