// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/// How much the engine may use.
///
/// @param clusterBytes unit of preserving: a power of two from 4 KiB to 4 MiB
/// @param ramBytesMax RAM tier of the process, at least 16 clusters
/// @param scratchDirectory where the disk tier lives, as a file without a name
/// @param scratchBytesMax cap of the disk tier, at least a cluster; 0 = RAM only
/// @param ioThreadCount upper bound of threads that wait for disks, and of those that wait for the
///   scratch file
/// @param guestFirst what guests may have to pay for snapshots
public record EngineConfig(
    int clusterBytes,
    long ramBytesMax,
    Path scratchDirectory,
    long scratchBytesMax,
    int ioThreadCount,
    Optional<Path> stateDirectory,
    GuestFirst guestFirst) {

  /// An exbibyte: no file is larger, and sums with it stay far from overflowing.
  private static final long SCRATCH_BYTES_MAX = 1L << 60;

  private static final int SMALL_CLUSTER_BYTES = 16 << 10;
  private static final int LARGE_CLUSTER_BYTES = 64 << 10;

  /// What 1 TiB has of the larger ones.
  private static final long SMALL_CLUSTERS_MAX = 16 << 20;

  /// Enough to keep 64 slow requests in flight.
  public static final int IO_THREADS_DEFAULT = 64;

  /// Without a state directory: bitmaps end with the process.
  public EngineConfig(
      int clusterBytes,
      long ramBytesMax,
      Path scratchDirectory,
      long scratchBytesMax,
      int ioThreadCount) {
    this(
        clusterBytes,
        ramBytesMax,
        scratchDirectory,
        scratchBytesMax,
        ioThreadCount,
        Optional.empty());
  }

  /// One whose guests pay what is usual.
  public EngineConfig(
      int clusterBytes,
      long ramBytesMax,
      Path scratchDirectory,
      long scratchBytesMax,
      int ioThreadCount,
      Optional<Path> stateDirectory) {
    this(
        clusterBytes,
        ramBytesMax,
        scratchDirectory,
        scratchBytesMax,
        ioThreadCount,
        stateDirectory,
        GuestFirst.USUAL);
  }

  /// The unit of preserving where nobody chooses one. Each cluster that a guest's write touches
  /// takes all of its room, and most writes are small: hence 16 KiB. But each preserved cluster
  /// costs some ten bytes of heap, so disks of more than 256 GiB have 32 KiB, those of more than
  /// 512 GiB and unknown ones 64 KiB, as QEMU.
  ///
  /// @param diskBytes all disks together; empty = unknown
  public static int clusterBytesFor(OptionalLong diskBytes) {
    if (diskBytes.isEmpty()) {
      return LARGE_CLUSTER_BYTES;
    }
    int clusterBytes = SMALL_CLUSTER_BYTES;
    while (clusterBytes < LARGE_CLUSTER_BYTES
        && diskBytes.getAsLong() / clusterBytes > SMALL_CLUSTERS_MAX) {
      clusterBytes *= 2;
    }
    return clusterBytes;
  }

  /// The same with tiers of other sizes.
  EngineConfig resized(long ramBytes, long scratchBytes) {
    return new EngineConfig(
        clusterBytes,
        ramBytes,
        scratchDirectory,
        scratchBytes,
        ioThreadCount,
        stateDirectory,
        guestFirst);
  }

  public EngineConfig {
    if (Integer.bitCount(clusterBytes) != 1 || clusterBytes < 4096 || clusterBytes > 4 << 20) {
      throw new IllegalArgumentException(
          "cluster size: " + clusterBytes + " (expected: a power of two from 4096 to 4194304)");
    }
    if (ramBytesMax < 16L * clusterBytes) {
      throw new IllegalArgumentException(
          "RAM budget: "
              + ramBytesMax
              + " (expected: at least 16 clusters, "
              + 16L * clusterBytes
              + ")");
    }
    if (scratchBytesMax != 0
        && (scratchBytesMax < clusterBytes || scratchBytesMax > SCRATCH_BYTES_MAX)) {
      throw new IllegalArgumentException(
          "scratch limit: "
              + scratchBytesMax
              + " (expected: 0 for RAM only, or from a cluster, "
              + clusterBytes
              + ", to "
              + SCRATCH_BYTES_MAX
              + ")");
    }
    if (ioThreadCount < 1) {
      throw new IllegalArgumentException("ioThreadCount: " + ioThreadCount + " (expected: >= 1)");
    }
  }
}
