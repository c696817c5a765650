// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.hook.BudgetStep;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// Something that front ends tell their clients.
public sealed interface EngineEvent {

  record SnapshotCreated(SnapshotStatus snapshot) implements EngineEvent {}

  /// @param success for a snapshot with a checkpoint, whether the chain moved on
  /// @param reason why it ended without being asked: its time was up, its client went
  record SnapshotEnded(String snapshot, Optional<Boolean> success, Optional<String> reason)
      implements EngineEvent {}

  /// One disk of it yields no data any more.
  record SnapshotBroken(String snapshot, String disk, String reason, Instant when)
      implements EngineEvent {}

  /// Snapshots of the disk lack this range, and are whole else.
  record ClusterLost(
      String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason)
      implements EngineEvent {
    public ClusterLost {
      snapshots = List.copyOf(snapshots);
    }
  }

  /// The bitmap (or checkpoint) cannot be used any more; the next backup must be full.
  record BitmapInconsistent(String disk, String bitmap, String reason) implements EngineEvent {}

  /// Somebody else has cut what the disk lies in: part of it is lost.
  ///
  /// @param reason what is lost, and what to do
  record DiskDamaged(String disk, String reason) implements EngineEvent {}

  /// Nobody finds the file that the disk lies in by its name any more: it was deleted, renamed, or
  /// replaced by another one.
  ///
  /// @param reason where it is, and what to do
  record DiskDisplaced(String disk, String reason) implements EngineEvent {}

  /// Preserved data takes so much of what RAM and disk tier can hold.
  ///
  /// @param percent 70, 80, 90 or 95; told when it is passed, and again only after it was well
  ///   below
  record StoreFilling(int percent, long usedBytes, long capacityBytes) implements EngineEvent {}

  /// A snapshot will end before long if nobody releases it.
  ///
  /// @param limit which of its limits
  /// @param used of it; in bytes or seconds
  /// @param max the limit
  record SnapshotNearLimit(String snapshot, Limit limit, long used, long max)
      implements EngineEvent {}

  /// A guest's write has waited for so long, and waits still, for old data to be preserved.
  record GuestWriteSlow(String disk, long offsetBytes, long waitedNanos) implements EngineEvent {}

  /// Something is given up, or taken up again, so that guest writes keep within their budget.
  record WriteBudgetStep(String disk, BudgetStep step, String reason) implements EngineEvent {}

  /// What ends a snapshot.
  enum Limit {
    /// Its time, in seconds.
    TTL,
    /// What is preserved for it, in bytes.
    MAX_PRESERVED
  }

  /// Bitmaps of the disk go on in memory, but will not outlive the process.
  record StateLost(String disk, String reason) implements EngineEvent {}
}
