// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.util.Arrays;
import java.util.Objects;
import org.roaringbitmap.BitmapContainer;
import org.roaringbitmap.Container;
import org.roaringbitmap.ContainerPointer;
import org.roaringbitmap.RoaringBitmap;

/// An unchanging set of dirty granules of a disk: a frozen bitmap, a merge of several, what a
/// checkpoint covers. Any thread.
///
/// A granule is a power of two of bytes, from 512; the last one of a disk may be short. There are
/// at most 2^32 - 1 of them. What takes two sets wants both of one disk size, else it throws
/// IllegalArgumentException; their granularities may differ.
public final class GranuleSet implements DirtyBits {
  private final Granules geometry;
  private final RoaringBitmap granules;

  private GranuleSet(Granules geometry, RoaringBitmap granules) {
    this.geometry = geometry;
    this.granules = granules;
  }

  /// Takes the bitmap over: nobody may change it any more.
  ///
  /// @throws IllegalArgumentException when the disk cannot be divided so, or has not that many
  ///   granules
  public static GranuleSet of(long sizeBytes, int granularityBytes, RoaringBitmap granules) {
    return of(new Granules(sizeBytes, granularityBytes), granules);
  }

  static GranuleSet of(Granules geometry, RoaringBitmap granules) {
    if (!granules.isEmpty()) {
      long last = Integer.toUnsignedLong(granules.last());
      if (last >= geometry.count()) {
        throw new IllegalArgumentException(
            "granule: " + last + " (expected: below " + geometry.count() + ")");
      }
    }
    granules.runOptimize();
    return new GranuleSet(geometry, granules);
  }

  /// Nothing is dirty.
  public static GranuleSet empty(long sizeBytes, int granularityBytes) {
    return of(sizeBytes, granularityBytes, new RoaringBitmap());
  }

  /// Everything is dirty.
  public static GranuleSet full(long sizeBytes, int granularityBytes) {
    Granules geometry = new Granules(sizeBytes, granularityBytes);
    return of(geometry, RoaringBitmap.bitmapOfRange(0, geometry.count()));
  }

  /// Begins a set.
  public static Builder builder(long sizeBytes, int granularityBytes) {
    return new Builder(new Granules(sizeBytes, granularityBytes));
  }

  /// Size of the disk in bytes.
  public long sizeBytes() {
    return geometry.sizeBytes();
  }

  @Override
  public int granularityBytes() {
    return geometry.granularityBytes();
  }

  public Granules geometry() {
    return geometry;
  }

  /// The numbers of the dirty granules. Not to be changed.
  public RoaringBitmap granules() {
    return granules;
  }

  public boolean isEmpty() {
    return granules.isEmpty();
  }

  /// Dirty granules times granularity, as QEMU counts (a short last granule counts as a whole one).
  public long dirtyBytes() {
    return granules.getLongCardinality() * geometry.granularityBytes();
  }

  /// The end of the stretch of equal state (dirty or clean) that `offsetBytes` lies in, at most
  /// `endBytes`.
  public long stretchEnd(long offsetBytes, long endBytes) {
    int granule = (int) geometry.at(offsetBytes);
    // The next absent value may only be asked for from a value that is there: RoaringBitmap answers
    // wrongly when the next container is in the upper half of the numbers and this one is not.
    long next =
        granules.contains(granule)
            ? granules.nextAbsentValue(granule)
            : granules.nextValue(granule);
    return next < 0 ? endBytes : Math.min(endBytes, geometry.endBytes(next));
  }

  /// Whether the byte lies in a dirty granule.
  public boolean isDirty(long offsetBytes) {
    return granules.contains((int) geometry.at(offsetBytes));
  }

  /// Whether any byte of the range lies in a dirty granule.
  public boolean isDirty(long offsetBytes, long lengthBytes) {
    return lengthBytes > 0
        && granules.intersects(
            geometry.at(offsetBytes), geometry.at(offsetBytes + lengthBytes - 1) + 1);
  }

  /// Where the first dirty byte at or after `offsetBytes` is; the size of the disk when there is
  /// none.
  public long nextDirty(long offsetBytes) {
    if (offsetBytes >= sizeBytes()) {
      return sizeBytes();
    }
    long next = granules.nextValue((int) geometry.at(offsetBytes));
    return next < 0 ? sizeBytes() : Math.max(offsetBytes, geometry.startBytes(next));
  }

  @Override
  public long nextDirty(long offsetBytes, long endBytes) {
    return Math.min(endBytes, nextDirty(offsetBytes));
  }

  @Override
  public long nextClean(long offsetBytes, long endBytes) {
    return isDirty(offsetBytes) ? stretchEnd(offsetBytes, endBytes) : offsetBytes;
  }

  /// All of it: whole stretches are found at once.
  @Override
  public long lookBytesMax() {
    return Long.MAX_VALUE;
  }

  /// Tells every dirty stretch, in ascending order, as long as possible, none beyond the disk.
  public void forEachRange(RangeConsumer consumer) {
    long start = nextDirty(0);
    while (start < sizeBytes()) {
      long end = stretchEnd(start, sizeBytes());
      consumer.range(start, end - start);
      start = nextDirty(end);
    }
  }

  /// Tells the words of every block with a dirty granule, in ascending order. Bits of granules
  /// beyond the disk are clear. The array is valid, and may be changed, during the call only.
  public void forEachBlock(BlockConsumer consumer) {
    long[] words = new long[Granules.BLOCK_WORDS];
    ContainerPointer at = granules.getContainerPointer();
    while (hasContainer(at)) {
      Arrays.fill(words, 0);
      at.getContainer().copyBitmapTo(words, 0);
      consumer.block(at.key(), words);
      at.advance();
    }
  }

  private static boolean hasContainer(ContainerPointer at) {
    return at.getContainer() != null;
  }

  /// The same with granules of another size, rounded outward: never less dirty.
  public GranuleSet withGranularity(int otherGranularityBytes) {
    if (otherGranularityBytes == granularityBytes()) {
      return this;
    }
    return GranularityChange.of(this, new Granules(sizeBytes(), otherGranularityBytes));
  }

  /// What is dirty in either, in granules of this one's size.
  public GranuleSet union(GranuleSet other) {
    return of(geometry, RoaringBitmap.or(granules, fitted(other).granules));
  }

  /// The granules of this one that are dirty and have a byte that is dirty in the other too.
  public GranuleSet intersection(GranuleSet other) {
    return of(geometry, RoaringBitmap.and(granules, fitted(other).granules));
  }

  /// The granules of this one that are dirty and have a byte that is not dirty in the other: never
  /// less than what is dirty here only.
  public GranuleSet minus(GranuleSet other) {
    if (other.granularityBytes() < granularityBytes()) {
      return intersection(other.complement());
    }
    return of(geometry, RoaringBitmap.andNot(granules, fitted(other).granules));
  }

  /// What is not dirty.
  public GranuleSet complement() {
    return of(geometry, RoaringBitmap.flip(granules, 0L, geometry.count()));
  }

  private GranuleSet fitted(GranuleSet other) {
    if (other.sizeBytes() != sizeBytes()) {
      throw new IllegalArgumentException(
          "sets of disks of different sizes: " + sizeBytes() + " and " + other.sizeBytes());
    }
    return other.withGranularity(granularityBytes());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof GranuleSet set
        && geometry.equals(set.geometry)
        && granules.equals(set.granules);
  }

  @Override
  public int hashCode() {
    return 31 * geometry.hashCode() + Long.hashCode(granules.getLongCardinality());
  }

  @Override
  public String toString() {
    return dirtyBytes() + " of " + sizeBytes() + " bytes dirty, granularity " + granularityBytes();
  }

  /// Is told ranges of a disk.
  @FunctionalInterface
  public interface RangeConsumer {
    void range(long offsetBytes, long lengthBytes);
  }

  /// Is told blocks of granules: the first one of a block is number `block` times 65,536.
  @FunctionalInterface
  public interface BlockConsumer {
    void block(int block, long[] words);
  }

  /// Collects what is dirty. Fast in ascending order. Used by one thread, once.
  public static final class Builder {
    private final Granules geometry;
    private final RoaringBitmap granules = new RoaringBitmap();

    private Builder(Granules geometry) {
      this.geometry = geometry;
    }

    /// All granules that the range touches. It lies inside the disk.
    public Builder addRange(long offsetBytes, long lengthBytes) {
      Objects.checkFromIndexSize(offsetBytes, lengthBytes, geometry.sizeBytes());
      if (lengthBytes > 0) {
        granules.add(geometry.at(offsetBytes), geometry.at(offsetBytes + lengthBytes - 1) + 1);
      }
      return this;
    }

    /// The granules whose bits are set in the 1,024 words, in the block of this number. Bits beyond
    /// the disk are ignored. The array stays the caller's; bits that are being set meanwhile are in
    /// the set or not.
    public Builder addBlock(int block, long[] words) {
      int count = 0;
      for (long word : words) {
        count += Long.bitCount(word);
      }
      if (count > 0) {
        add(block, container(words, count));
      }
      return this;
    }

    /// All granules of the block of this number.
    public Builder addFullBlock(int block) {
      return add(block, Container.rangeOfOnes(0, Granules.BLOCK_GRANULES));
    }

    private static Container container(long[] words, int count) {
      if (count == Granules.BLOCK_GRANULES) {
        return Container.rangeOfOnes(0, Granules.BLOCK_GRANULES);
      }
      return new BitmapContainer(words.clone(), -1).repairAfterLazy(); // an array when that is less
    }

    private Builder add(int block, Container container) {
      if (block < 0 || block >= geometry.blockCount()) {
        throw new IllegalArgumentException(
            "block: " + block + " (expected: below " + geometry.blockCount() + ")");
      }
      if (granules.isEmpty() || granules.last() >>> Granules.BLOCK_SHIFT < block) {
        granules.append((char) block, container);
      } else {
        RoaringBitmap one = new RoaringBitmap();
        one.append((char) block, container);
        granules.or(one);
      }
      return this;
    }

    public GranuleSet build() {
      granules.remove(geometry.count(), 1L << 32);
      return of(geometry, granules);
    }
  }
}
