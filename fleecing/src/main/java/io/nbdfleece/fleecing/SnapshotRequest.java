// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A snapshot to take.
///
/// @param disks names; empty = all disks
/// @param name without one, `snap-1`, `snap-2` and so on; same rules as a disk's name
/// @param cbwTimeout longest that one copy may hold a guest write up before `onCbwError` decides;
///   zero = no limit
/// @param increment what makes it one of a chain
/// @param lifetime when it ends by itself
public record SnapshotRequest(
    List<String> disks,
    Optional<String> name,
    Access access,
    OnCbwError onCbwError,
    Duration cbwTimeout,
    Increment increment,
    Lifetime lifetime) {

  public static final Duration CBW_TIMEOUT_DEFAULT = Duration.ofSeconds(30);

  public SnapshotRequest {
    disks = List.copyOf(disks);
    name.ifPresent(given -> ExportNames.check("snapshot name", given));
    if (cbwTimeout.isNegative()) {
      throw new IllegalArgumentException("cbw-timeout: " + cbwTimeout + " (expected: >= 0)");
    }
  }

  /// A full snapshot without a checkpoint that lasts until it is released.
  public SnapshotRequest(
      List<String> disks,
      Optional<String> name,
      Access access,
      OnCbwError onCbwError,
      Duration cbwTimeout) {
    this(disks, name, access, onCbwError, cbwTimeout, Increment.NONE, Lifetime.UNTIL_RELEASED);
  }

  /// What makes it one of a chain of incremental backups.
  ///
  /// @param checkpoint starts this checkpoint on each disk at the instant of the freeze
  /// @param since the checkpoint, or else the bitmap, that it exports beside the frozen view; each
  ///   disk must have it
  /// @param sinceByDisk for single disks instead of `since`; empty = all of that disk
  /// @param exportedAs name of the exported bitmap in `qemu:dirty-bitmap:NAME`; the name of what it
  ///   is since when absent
  /// @param outside what reading outside of the bitmap gives
  /// @param bitmaps what may become of the bitmaps of its disks as long as it is there
  public record Increment(
      Optional<String> checkpoint,
      Optional<String> since,
      Map<String, Optional<String>> sinceByDisk,
      Optional<String> exportedAs,
      Outside outside,
      Bitmaps bitmaps) {
    public static final Increment NONE =
        new Increment(Optional.empty(), Optional.empty(), Map.of(), Optional.empty(), Outside.DATA);

    /// One that holds the bitmap that it is since.
    public Increment(
        Optional<String> checkpoint,
        Optional<String> since,
        Map<String, Optional<String>> sinceByDisk,
        Optional<String> exportedAs,
        Outside outside) {
      this(checkpoint, since, sinceByDisk, exportedAs, outside, Bitmaps.HELD);
    }

    /// `qemu:dirty-bitmap:NAME` has to fit into a string of NBD.
    private static final int EXPORTED_AS_BYTES_MAX = 4096 - "qemu:dirty-bitmap:".length();

    public Increment {
      sinceByDisk = Map.copyOf(sinceByDisk);
      exportedAs.ifPresent(Increment::checkExported);
    }

    private static void checkExported(String name) {
      int lengthBytes = name.getBytes(StandardCharsets.UTF_8).length;
      if (lengthBytes == 0 || lengthBytes > EXPORTED_AS_BYTES_MAX) {
        throw new IllegalArgumentException(
            "bitmap-name: "
                + lengthBytes
                + " bytes (expected: 1 to "
                + EXPORTED_AS_BYTES_MAX
                + ")");
      }
      if (!StandardCharsets.UTF_8.newEncoder().canEncode(name)) {
        throw new IllegalArgumentException("bitmap-name: contains half a character");
      }
    }

    /// What the snapshot of that disk is since.
    public Optional<String> sinceOf(String disk) {
      return sinceByDisk.getOrDefault(disk, since);
    }
  }

  /// What may become of the bitmaps of a snapshot's disks as long as it is there.
  public enum Bitmaps {
    /// The one that it is since stays as it is: busy. Others are no concern of the snapshot's.
    HELD,
    /// Anything: the snapshot keeps what it is since for itself. A bitmap that begins to record, or
    /// is cleared, meanwhile holds what was written since the freeze, because the snapshot does
    /// not.
    FREE
  }

  /// What a client gets that reads where nothing has changed.
  public enum Outside {
    /// The frozen content: every cluster is preserved.
    DATA,
    /// Zeroes, reported as a hole; only what has changed is preserved.
    ZERO,
    /// EIO; only what has changed is preserved.
    ERROR
  }

  /// When it ends by itself, as a failed backup, or is broken.
  ///
  /// @param max after its creation
  /// @param idleMax after the last client has left, or never came
  /// @param preservedBytesMax when so much is preserved for it, all its disks together; it is
  ///   broken then, not released
  public record Lifetime(
      Optional<Duration> max, Optional<Duration> idleMax, Optional<Long> preservedBytesMax) {
    public static final Lifetime UNTIL_RELEASED = new Lifetime(Optional.empty(), Optional.empty());

    public Lifetime {
      preservedBytesMax.ifPresent(Lifetime::checkPreserved);
    }

    /// One whose size does not matter.
    public Lifetime(Optional<Duration> max, Optional<Duration> idleMax) {
      this(max, idleMax, Optional.empty());
    }

    private static void checkPreserved(long bytesMax) {
      if (bytesMax < 1) {
        throw new IllegalArgumentException(
            "max-preserved: " + bytesMax + " (expected: at least 1)");
      }
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
