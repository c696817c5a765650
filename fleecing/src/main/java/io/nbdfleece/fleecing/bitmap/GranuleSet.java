// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import org.roaringbitmap.RoaringBitmap;

/// An unchanging set of dirty granules of a disk: a frozen bitmap, a merge of several, what a
/// checkpoint covers. Any thread.
///
/// A granule is a power of two of bytes, from 512; the last one of a disk may be short. There are
/// at most 2^32 - 1 of them.
public final class GranuleSet {
  private final long sizeBytes;
  private final int granularityBytes;
  private final RoaringBitmap granules;

  private GranuleSet(long sizeBytes, int granularityBytes, RoaringBitmap granules) {
    this.sizeBytes = sizeBytes;
    this.granularityBytes = granularityBytes;
    this.granules = granules;
  }

  /// Takes the bitmap over: nobody may change it any more.
  public static GranuleSet of(long sizeBytes, int granularityBytes, RoaringBitmap granules) {
    return new GranuleSet(sizeBytes, granularityBytes, granules);
  }

  /// Nothing is dirty.
  public static GranuleSet empty(long sizeBytes, int granularityBytes) {
    return of(sizeBytes, granularityBytes, new RoaringBitmap());
  }

  /// Size of the disk in bytes.
  public long sizeBytes() {
    return sizeBytes;
  }

  public int granularityBytes() {
    return granularityBytes;
  }

  /// The numbers of the dirty granules. Not to be changed.
  public RoaringBitmap granules() {
    return granules;
  }

  /// Dirty granules times granularity, as QEMU counts (a short last granule counts as a whole one).
  public long dirtyBytes() {
    return granules.getLongCardinality() * granularityBytes;
  }

  /// The end of the stretch of equal state (dirty or clean) that `offsetBytes` lies in, at most
  /// `endBytes`.
  public long stretchEnd(long offsetBytes, long endBytes) {
    boolean dirty = isDirty(offsetBytes);
    long position = offsetBytes;
    while (position < endBytes && isDirty(position) == dirty) {
      position = Math.min(endBytes, (position / granularityBytes + 1) * granularityBytes);
    }
    return position;
  }

  public boolean isDirty(long offsetBytes) {
    return granules.contains((int) (offsetBytes / granularityBytes));
  }

  /// The same with granules of another size, rounded outward: never less dirty.
  public GranuleSet withGranularity(int otherGranularityBytes) {
    if (otherGranularityBytes == granularityBytes) {
      return this;
    }
    RoaringBitmap other = new RoaringBitmap();
    granules.forEach(
        (int granule) -> {
          long start = Integer.toUnsignedLong(granule) * granularityBytes;
          long end = Math.min(sizeBytes, start + granularityBytes);
          other.add(start / otherGranularityBytes, (end - 1) / otherGranularityBytes + 1);
        });
    return of(sizeBytes, otherGranularityBytes, other);
  }

  /// What is dirty in either, in granules of this one's size. Both are of one size, else
  /// IllegalArgumentException.
  public GranuleSet union(GranuleSet other) {
    if (other.sizeBytes != sizeBytes) {
      throw new IllegalArgumentException("sets of " + sizeBytes + " and " + other.sizeBytes);
    }
    return of(
        sizeBytes,
        granularityBytes,
        RoaringBitmap.or(granules, other.withGranularity(granularityBytes).granules));
  }
}
