// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

/// How a disk is cut into clusters. The last cluster may be short.
///
/// @param sizeBytes size of the disk, at least 0
/// @param clusterBytes a power of two
public record ClusterGeometry(long sizeBytes, int clusterBytes) {
  /// So that the number of a cluster, rounded up to any unit in use, fits an int.
  private static final int CLUSTERS_MAX = Integer.MAX_VALUE - 65_536;

  public ClusterGeometry {
    if (Integer.bitCount(clusterBytes) != 1 || clusterBytes < 512) {
      throw new IllegalArgumentException(
          "clusterBytes: " + clusterBytes + " (expected: a power of two, 512 or more)");
    }
    if (sizeBytes < 0 || sizeBytes / clusterBytes >= CLUSTERS_MAX) {
      throw new IllegalArgumentException(
          "disk size: "
              + sizeBytes
              + " bytes (expected: at most "
              + (long) CLUSTERS_MAX * clusterBytes
              + " with a cluster size of "
              + clusterBytes
              + "; choose a larger --cluster-size)");
    }
  }

  /// How many clusters there are, the short one included.
  public int clusterCount() {
    return Math.toIntExact((sizeBytes + clusterBytes - 1) / clusterBytes);
  }

  /// The cluster that holds this byte.
  public int clusterOf(long offsetBytes) {
    return (int) (offsetBytes >> Integer.numberOfTrailingZeros(clusterBytes));
  }

  /// First byte of a cluster.
  public long offsetOf(int cluster) {
    return (long) cluster << Integer.numberOfTrailingZeros(clusterBytes);
  }

  /// First byte after a cluster.
  public long endOf(int cluster) {
    return Math.min(sizeBytes, offsetOf(cluster) + clusterBytes);
  }

  /// Bytes in a cluster: less than [#clusterBytes] only in the last one.
  public int lengthOf(int cluster) {
    return (int) (endOf(cluster) - offsetOf(cluster));
  }
}
