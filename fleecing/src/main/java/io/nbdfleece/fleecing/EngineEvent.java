// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

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

  /// Bitmaps of the disk go on in memory, but will not outlive the process.
  record StateLost(String disk, String reason) implements EngineEvent {}
}
