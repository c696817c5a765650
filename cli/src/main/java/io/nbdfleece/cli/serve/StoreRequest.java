// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.GuestFirst;
import io.nbdfleece.fleecing.SnapshotRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/// Where and how preserved data is kept, as typed.
///
/// @param scratchBytesMax half of the free space when empty
/// @param clusterBytes as the disks ask for when empty
/// @param onCbwError a name of [SnapshotRequest.OnCbwError]
/// @param cbwTimeoutSeconds 0 = no limit
/// @param slowFromPercent how full the tiers are when guest writes begin to be slowed; 100 = never
/// @param writeBudget what preserving may add to a guest write; zero = anything
/// @param stateDirectory where bitmaps and checkpoints outlive the process; they do not when empty
public record StoreRequest(
    long ramBytes,
    Path scratchDirectory,
    Optional<Long> scratchBytesMax,
    Optional<Long> clusterBytes,
    String onCbwError,
    long cbwTimeoutSeconds,
    int slowFromPercent,
    Duration writeBudget,
    Optional<Path> stateDirectory) {

  /// What `fleecing-start` takes as well: more is no limit, and would overflow in nanoseconds.
  private static final long CBW_TIMEOUT_SECONDS_MAX = 4_294_967_295L;

  private static final int CLUSTER_BYTES_MIN = 4 << 10;
  private static final int CLUSTER_BYTES_MAX = 4 << 20;
  private static final long CLUSTERS_IN_RAM_MIN = 16;
  private static final Duration WRITE_BUDGET_MAX = Duration.ofHours(1);

  /// This, once it has been checked.
  StoreRequest resolve() throws CommandFailure {
    if (cbwTimeoutSeconds < 0 || cbwTimeoutSeconds > CBW_TIMEOUT_SECONDS_MAX) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--cbw-timeout "
              + cbwTimeoutSeconds
              + ": give 0 (no limit) to "
              + CBW_TIMEOUT_SECONDS_MAX
              + " seconds");
    }
    if (writeBudget.compareTo(WRITE_BUDGET_MAX) > 0) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--write-budget of "
              + writeBudget.toSeconds()
              + " s: give at most 1h, e.g. 20ms, or 0 for no budget");
    }
    if (slowFromPercent < 1 || slowFromPercent > 100) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--slow-from " + slowFromPercent + ": give a percentage from 1 to 100 (100 = never)");
    }
    long bytes = clusterBytes.orElse((long) CLUSTER_BYTES_MIN);
    if (Long.bitCount(bytes) != 1 || bytes < CLUSTER_BYTES_MIN || bytes > CLUSTER_BYTES_MAX) {
      throw new CommandFailure(
          ExitCode.USAGE, "--cluster-size " + bytes + ": give a power of two from 4K to 4M");
    }
    return this;
  }

  /// Fails when a tier could not hold what is preserved at once.
  void checkRoom(int clusterBytes) throws CommandFailure {
    long ramBytesMin = CLUSTERS_IN_RAM_MIN * clusterBytes;
    if (ramBytes < ramBytesMin) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--ram "
              + ByteSize.format(ramBytes)
              + ": give at least "
              + ByteSize.format(ramBytesMin)
              + ", which is 16 clusters");
    }
    long scratchBytes = scratchBytesMax.orElse(0L);
    if (scratchBytes != 0 && scratchBytes < clusterBytes) {
      throw new CommandFailure(
          ExitCode.USAGE,
          "--scratch-limit "
              + ByteSize.format(scratchBytes)
              + ": give at least a cluster, "
              + ByteSize.format(clusterBytes)
              + ", or 0 for RAM only");
    }
  }

  GuestFirst guestFirst() {
    return new GuestFirst(slowFromPercent, writeBudget);
  }

  ControlTarget.SnapshotDefaults snapshotDefaults() {
    return new ControlTarget.SnapshotDefaults(
        SnapshotRequest.OnCbwError.valueOf(onCbwError), Duration.ofSeconds(cbwTimeoutSeconds));
  }
}
