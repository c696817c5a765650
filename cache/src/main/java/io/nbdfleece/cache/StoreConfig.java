// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.nio.file.Path;

/// How large the tiers of a store are.
///
/// @param clusterBytes the size of an entry, a power of two from 4096 to 16 MiB
/// @param ramBytesMax the budget of the RAM tier; at least four clusters, rounded down to whole
///   ones
/// @param scratchDirectory where the disk tier has its nameless file
/// @param scratchBytesMax the cap of the disk tier, rounded down to whole clusters; 0: RAM only
public record StoreConfig(
    int clusterBytes, long ramBytesMax, Path scratchDirectory, long scratchBytesMax) {
  private static final int CLUSTER_BYTES_MIN = 4096;
  private static final int CLUSTER_BYTES_MAX = 16 << 20;
  private static final int RAM_SLOTS_MIN = 4;

  public StoreConfig {
    if (Integer.bitCount(clusterBytes) != 1
        || clusterBytes < CLUSTER_BYTES_MIN
        || clusterBytes > CLUSTER_BYTES_MAX) {
      throw new IllegalArgumentException(
          "clusterBytes: " + clusterBytes + " (expected: a power of two, 4096 to 16777216)");
    }
    if (ramBytesMax / clusterBytes < RAM_SLOTS_MIN
        || ramBytesMax / clusterBytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "ramBytesMax: "
              + ramBytesMax
              + " (expected: at least 4 clusters of "
              + clusterBytes
              + ")");
    }
    if (scratchBytesMax < 0) {
      throw new IllegalArgumentException(
          "scratchBytesMax: " + scratchBytesMax + " (expected: not negative)");
    }
  }

  /// The same with tiers of other sizes.
  StoreConfig resized(long ramBytes, long scratchBytes) {
    return new StoreConfig(clusterBytes, ramBytes, scratchDirectory, scratchBytes);
  }

  int ramSlotCount() {
    return (int) (ramBytesMax / clusterBytes);
  }

  long scratchSlotCount() {
    return scratchBytesMax / clusterBytes;
  }
}
