// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/// What a transaction is going to do, its disks looked up.
///
/// @param disks that it is about, in the order that they are first named
/// @param views that it is about: their bitmaps
/// @param names of bitmaps that nobody may take into use meanwhile
record TransactionPlan(
    List<Step> steps,
    List<ServedDisk> disks,
    List<DiskTracking> views,
    Set<BitmapRef> names,
    Optional<PlannedSnapshot> snapshot) {

  TransactionPlan {
    steps = List.copyOf(steps);
    disks = List.copyOf(disks);
    views = List.copyOf(views);
    names = Set.copyOf(names);
  }

  /// Whatever has bitmaps that it is about.
  List<DiskTracking> owners() {
    return Stream.concat(disks.stream().map(ServedDisk::tracking), views.stream()).toList();
  }

  /// One action.
  interface Step {
    void run(TransactionPass pass) throws IOException;
  }

  /// The snapshot that it takes.
  ///
  /// @param name reserved for it
  record PlannedSnapshot(String name, SnapshotRequest request, List<ServedDisk> disks) {
    PlannedSnapshot {
      disks = List.copyOf(disks);
    }
  }

  /// For messages.
  String what() {
    return snapshot.map(s -> "snapshot " + s.name() + ": ").orElse("");
  }
}
