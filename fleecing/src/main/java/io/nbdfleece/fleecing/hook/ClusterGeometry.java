// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.block.BlockNode;

/// How a disk is cut into clusters, and these into blocks, of which a part of a cluster consists.
/// The last cluster may be short, and so may its last block. A set of blocks of one cluster is an
/// int, the first block its lowest bit.
///
/// @param sizeBytes size of the disk, at least 0
/// @param clusterBytes a power of two
/// @param blockBytes a power of two, at most [#clusterBytes], at least a 16th of it
public record ClusterGeometry(long sizeBytes, int clusterBytes, int blockBytes) {
  /// What file systems and page caches work in.
  private static final int BLOCK_BYTES_USUAL = 4096;

  /// Their number fits four bits.
  private static final int BLOCKS_MAX = 16;

  /// So that the number of a cluster, rounded up to any unit in use, fits an int.
  private static final int CLUSTERS_MAX = Integer.MAX_VALUE - 65_536;

  /// With blocks of 4 KiB where clusters have 16 to 64 KiB: a quarter of smaller ones but at least
  /// 512 bytes, a 16th of larger ones.
  public ClusterGeometry(long sizeBytes, int clusterBytes) {
    this(sizeBytes, clusterBytes, usualBlockBytes(clusterBytes));
  }

  /// Of a disk, with blocks that it can be read by.
  static ClusterGeometry of(BlockNode disk, int clusterBytes) {
    int blockBytes = Math.max(usualBlockBytes(clusterBytes), disk.blockBytes());
    return new ClusterGeometry(disk.sizeBytes(), clusterBytes, blockBytes);
  }

  private static int usualBlockBytes(int clusterBytes) {
    int usual = Math.clamp(clusterBytes / 4, 512, BLOCK_BYTES_USUAL);
    return Math.max(usual, clusterBytes / BLOCKS_MAX);
  }

  public ClusterGeometry {
    if (Integer.bitCount(clusterBytes) != 1 || clusterBytes < 512) {
      throw new IllegalArgumentException(
          "clusterBytes: " + clusterBytes + " (expected: a power of two, 512 or more)");
    }
    if (Integer.bitCount(blockBytes) != 1
        || blockBytes > clusterBytes
        || blockBytes < clusterBytes / BLOCKS_MAX) {
      throw new IllegalArgumentException(
          "blockBytes: " + blockBytes + " (expected: a power of two, a 16th of a cluster or more)");
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

  /// All blocks of a cluster.
  int blocksOf(int cluster) {
    return blocksOf(cluster, offsetOf(cluster), endOf(cluster));
  }

  /// The blocks of a cluster that a range touches.
  int blocksOf(int cluster, long startBytes, long endBytes) {
    long offsetBytes = offsetOf(cluster);
    int shift = Integer.numberOfTrailingZeros(blockBytes);
    int first = (int) (Math.max(0, startBytes - offsetBytes) >> shift);
    int last = (int) ((Math.min(endBytes - offsetBytes, clusterBytes) - 1) >> shift);
    return (-1 >>> (Integer.SIZE - 1 - (last - first))) << first;
  }

  /// First byte of the first of some blocks, which are neighbours.
  long offsetOf(int cluster, int blocks) {
    return offsetOf(cluster) + (long) Integer.numberOfTrailingZeros(blocks) * blockBytes;
  }

  /// First byte after the last of some blocks.
  long endOf(int cluster, int blocks) {
    int end = Integer.SIZE - Integer.numberOfLeadingZeros(blocks);
    return Math.min(endOf(cluster), offsetOf(cluster) + (long) end * blockBytes);
  }
}
