// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// How a disk is divided into granules: the arithmetic of everything that keeps one bit for each.
///
/// Bits come in 64-bit words, bit 0 first, and words in blocks of 65,536 granules, which is what a
/// container of a RoaringBitmap holds.
///
/// @param sizeBytes size of the disk, of any value from 0; the last granule may be short
/// @param granularityBytes a power of two from 512 (so at most 2^30)
public record Granules(long sizeBytes, int granularityBytes) {
  public static final int GRANULARITY_BYTES_MIN = 512;

  /// More granules than these cannot be numbered.
  public static final long COUNT_MAX = (1L << 32) - 1;

  public static final int BLOCK_SHIFT = 16;
  public static final int BLOCK_GRANULES = 1 << BLOCK_SHIFT;
  public static final int BLOCK_WORDS = BLOCK_GRANULES / Long.SIZE;

  public Granules {
    if (sizeBytes < 0) {
      throw new IllegalArgumentException("size: " + sizeBytes + " (expected: at least 0)");
    }
    if (granularityBytes < GRANULARITY_BYTES_MIN || Integer.bitCount(granularityBytes) != 1) {
      throw new IllegalArgumentException(
          "granularity: " + granularityBytes + " (expected: a power of two, at least 512)");
    }
    if (count(sizeBytes, granularityBytes) > COUNT_MAX) {
      throw new IllegalArgumentException(
          "granularity: "
              + granularityBytes
              + " (expected: at least "
              + smallestGranularityBytes(sizeBytes)
              + " for a disk of "
              + sizeBytes
              + " bytes)");
    }
  }

  /// The smallest granularity in which a disk of this size can be tracked.
  public static long smallestGranularityBytes(long sizeBytes) {
    long granularityBytes = GRANULARITY_BYTES_MIN;
    while (count(sizeBytes, granularityBytes) > COUNT_MAX) {
      granularityBytes *= 2;
    }
    return granularityBytes;
  }

  private static long count(long sizeBytes, long granularityBytes) {
    return sizeBytes / granularityBytes + (sizeBytes % granularityBytes == 0 ? 0 : 1);
  }

  /// By how many bits an offset is shifted to get the number of its granule.
  public int shift() {
    return Integer.numberOfTrailingZeros(granularityBytes);
  }

  /// How many there are, up to [#COUNT_MAX].
  public long count() {
    return count(sizeBytes, granularityBytes);
  }

  /// How many blocks there are, up to 65,536; the last one may be short.
  public int blockCount() {
    return (int) ((count() + BLOCK_GRANULES - 1) >>> BLOCK_SHIFT);
  }

  /// How many granules a block has: 65,536, but for the last one.
  public int granulesIn(int block) {
    return (int) Math.min(BLOCK_GRANULES, count() - ((long) block << BLOCK_SHIFT));
  }

  /// The number of the granule that holds the byte.
  public long at(long offsetBytes) {
    return offsetBytes >>> shift();
  }

  /// Where a granule begins.
  public long startBytes(long granule) {
    return granule << shift();
  }

  /// Where the granule before this one ends: as [#startBytes], but not beyond the disk.
  public long endBytes(long granuleAfter) {
    return granuleAfter >= count() ? sizeBytes : granuleAfter << shift();
  }

  /// The bits of a word from that of `granule` on.
  public static long firstMask(long granule) {
    return -1L << granule;
  }

  /// The bits of a word up to that of `granule`.
  public static long lastMask(long granule) {
    return -1L >>> ~granule;
  }
}
