// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// The plain bits of a bitmap that records, one per granule. Many threads set bits at once, without
/// a lock.
public interface BitArray extends DirtyBits {
  /// 512 KiB of bits.
  int GRANULES_LOOKED_AT_MAX = 1 << 22;

  /// Size of the disk in bytes.
  long sizeBytes();

  @Override
  int granularityBytes();

  @Override
  default long lookBytesMax() {
    return (long) granularityBytes() * GRANULES_LOOKED_AT_MAX;
  }

  /// Sets the bits of all granules that the range touches: one atomic operation per 64 of them,
  /// none where they are set already.
  void mark(long offsetBytes, long lengthBytes);

  /// Whether all marks are in it. Not when its memory has failed: that of a file on a device that
  /// is ill. Any thread.
  default boolean isWhole() {
    return true;
  }

  /// Its memory may have failed: from now on it is not [#isWhole], if it lies in a file.
  default void failed() {}

  /// Sets the bits of a set, converted outward. Only for set-up: O(set).
  void markAll(GranuleSet set);

  /// The bits as they are. Exact only while nobody sets any.
  GranuleSet toSet();

  /// Bits set times granularity. Not exact while somebody sets some. O(array).
  long dirtyBytes();
}
