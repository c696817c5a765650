// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.time.Duration;
import java.util.List;
import java.util.Optional;

/// A snapshot to take.
///
/// @param disks names; empty = all disks
/// @param name without one, `snap-1`, `snap-2` and so on; same rules as a disk's name
/// @param cbwTimeout longest that one copy may hold a guest write up before `onCbwError` decides;
///   zero = no limit
public record SnapshotRequest(
    List<String> disks,
    Optional<String> name,
    Access access,
    OnCbwError onCbwError,
    Duration cbwTimeout) {

  public static final Duration CBW_TIMEOUT_DEFAULT = Duration.ofSeconds(30);

  public SnapshotRequest {
    disks = List.copyOf(disks);
    name.ifPresent(given -> ExportNames.check("snapshot name", given));
    if (cbwTimeout.isNegative()) {
      throw new IllegalArgumentException("cbw-timeout: " + cbwTimeout + " (expected: >= 0)");
    }
  }

  /// What clients of the snapshot may do beyond reading.
  public enum Access {
    /// Nothing.
    READ_ONLY,
    /// TRIM: "I have this range", frees the copy; it cannot be read again.
    DISCARD,
    /// Reading does what TRIM does in DISCARD.
    READ_ONCE
  }

  /// What happens when an old cluster cannot be preserved (QEMU's `on-cbw-error`).
  public enum OnCbwError {
    /// The snapshot is broken for good; the guest's write goes through.
    BREAK_SNAPSHOT,
    /// The guest's write fails with EIO; the snapshot stays whole.
    BREAK_GUEST_WRITE
  }
}
