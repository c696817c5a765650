// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.hook.SnapshotView;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// A snapshot at this moment.
///
/// @param created the instant it shows, by the wall clock
/// @param age for how long it has been there, by the clock that its lifetime is counted with
/// @param freezeTime how long guest writes were held up to create it
public record SnapshotStatus(
    String name,
    Instant created,
    Duration age,
    Duration freezeTime,
    SnapshotRequest.Access access,
    SnapshotRequest.OnCbwError onCbwError,
    SnapshotRequest.Increment increment,
    SnapshotRequest.Lifetime lifetime,
    List<PerDisk> disks) {

  public SnapshotStatus {
    disks = List.copyOf(disks);
  }

  /// Whether any of its disks is broken.
  public boolean broken() {
    return disks.stream().anyMatch(d -> d.brokenBecause().isPresent());
  }

  /// One disk of it.
  ///
  /// @param exportName `disk@snapshot`
  /// @param preservedBytes old content held for it, shared copies counted in full
  /// @param releasedBytes what clients discarded or have read once
  /// @param lostBytes what could not be read when it had to be preserved, or afterwards from the
  ///   store; reads of it fail
  /// @param lostRanges where that is; at most 100 ranges
  /// @param clients connections that have it open
  /// @param exportedBitmap NAME in `qemu:dirty-bitmap:NAME`
  /// @param dirtyBytes what that bitmap covers
  public record PerDisk(
      String disk,
      String exportName,
      long sizeBytes,
      long preservedBytes,
      long ramBytes,
      long diskBytes,
      long releasedBytes,
      long lostBytes,
      List<SnapshotView.LostRange> lostRanges,
      int clients,
      Optional<String> brokenBecause,
      Optional<String> exportedBitmap,
      Optional<Long> dirtyBytes) {}
}
