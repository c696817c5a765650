// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

/// Bits in memory that may fail, as that of a mapped file does.
public final class FailingBits implements BitArray {
  private final HeapBitArray bits;
  private volatile boolean failed;
  private volatile boolean unreadable;

  public FailingBits(long sizeBytes, int granularityBytes) {
    this.bits = new HeapBitArray(sizeBytes, granularityBytes);
  }

  /// From now on whoever looks at a piece of it meets the error.
  public void becomeUnreadable() {
    unreadable = true;
  }

  @Override
  public boolean isWhole() {
    return !failed;
  }

  @Override
  public void failed() {
    failed = true;
  }

  @Override
  public long sizeBytes() {
    return bits.sizeBytes();
  }

  @Override
  public int granularityBytes() {
    return bits.granularityBytes();
  }

  @Override
  public void mark(long offsetBytes, long lengthBytes) {
    if (!failed) {
      bits.mark(offsetBytes, lengthBytes);
    }
  }

  @Override
  public void markAll(GranuleSet set) {
    bits.markAll(set);
  }

  @Override
  public GranuleSet toSet() {
    return bits.toSet();
  }

  @Override
  public long dirtyBytes() {
    return bits.dirtyBytes();
  }

  @Override
  public long nextDirty(long offsetBytes, long endBytes) {
    requireReadable();
    return bits.nextDirty(offsetBytes, endBytes);
  }

  @Override
  public long nextClean(long offsetBytes, long endBytes) {
    requireReadable();
    return bits.nextClean(offsetBytes, endBytes);
  }

  private void requireReadable() {
    if (unreadable) {
      throw new InternalError("a fault occurred in an unsafe memory access operation");
    }
  }
}
