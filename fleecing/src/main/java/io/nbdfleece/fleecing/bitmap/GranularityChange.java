// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.util.Arrays;
import org.roaringbitmap.RoaringBitmap;

/// Makes a set of granules of another size from a set, rounded outward. Works on whole words, so
/// that a set of hundreds of millions of scattered granules takes well under a second.
final class GranularityChange {
  private final Granules target;

  private GranularityChange(Granules target) {
    this.target = target;
  }

  static GranuleSet of(GranuleSet source, Granules target) {
    int shift = target.shift() - source.geometry().shift();
    GranularityChange change = new GranularityChange(target);
    if (shift >= Granules.BLOCK_SHIFT) {
      return change.blocksToGranules(source, shift);
    } else if (shift > 0) {
      return change.coarser(source, shift);
    } else if (-shift >= Granules.BLOCK_SHIFT) {
      return change.granulesToBlocks(source);
    }
    return change.finer(source, -shift);
  }

  /// A block of the source, or several, are one granule of the target.
  private GranuleSet blocksToGranules(GranuleSet source, int shift) {
    RoaringBitmap granules = new RoaringBitmap();
    source.forEachBlock((block, words) -> granules.add(block >>> (shift - Granules.BLOCK_SHIFT)));
    return GranuleSet.of(target, granules);
  }

  /// A granule of the source is a block of the target, or several.
  private GranuleSet granulesToBlocks(GranuleSet source) {
    GranuleSet.Builder builder = GranuleSet.builder(target.sizeBytes(), target.granularityBytes());
    source.forEachRange(builder::addRange);
    return builder.build();
  }

  /// 2^shift granules of the source are one of the target, 2^shift blocks are one block.
  private GranuleSet coarser(GranuleSet source, int shift) {
    GranuleSet.Builder builder = GranuleSet.builder(target.sizeBytes(), target.granularityBytes());
    long[] gathered = new long[Granules.BLOCK_WORDS];
    int[] gatheredBlock = {0};
    source.forEachBlock(
        (block, words) -> {
          if (block >>> shift != gatheredBlock[0]) {
            builder.addBlock(gatheredBlock[0], gathered);
            Arrays.fill(gathered, 0);
            gatheredBlock[0] = block >>> shift;
          }
          int firstBit = (block << (Granules.BLOCK_SHIFT - shift)) & (Granules.BLOCK_GRANULES - 1);
          squeeze(words, shift, gathered, firstBit);
        });
    builder.addBlock(gatheredBlock[0], gathered);
    return builder.build();
  }

  private static void squeeze(long[] words, int shift, long[] into, int firstBit) {
    long mask = everyBit(shift);
    for (int i = 0; i < words.length; i++) {
      if (words[i] != 0) {
        int bit = firstBit + ((i * Long.SIZE) >>> shift);
        into[bit >>> 6] |= (mask == 0 ? 1 : squeezed(words[i], shift, mask)) << bit;
      }
    }
  }

  /// Each group of 2^shift bits becomes one bit.
  private static long squeezed(long word, int shift, long mask) {
    long or = word;
    for (int i = 0; i < shift; i++) {
      or |= or >>> (1 << i);
    }
    return Long.compress(or, mask);
  }

  /// Each bit becomes 2^shift bits.
  private static long stretched(long bits, int shift, long mask) {
    return Long.expand(bits, mask) * ((1L << (1 << shift)) - 1);
  }

  /// The bits whose number is a multiple of 2^shift; none when a word has not two of them.
  private static long everyBit(int shift) {
    return shift >= 6 ? 0 : Long.divideUnsigned(-1L, (1L << (1 << shift)) - 1);
  }

  /// A granule of the source is 2^shift of the target, a block is 2^shift blocks.
  private GranuleSet finer(GranuleSet source, int shift) {
    GranuleSet.Builder builder = GranuleSet.builder(target.sizeBytes(), target.granularityBytes());
    int blocks = target.blockCount();
    int bits = Granules.BLOCK_GRANULES >>> shift;
    long[] spread = new long[Granules.BLOCK_WORDS];
    source.forEachBlock(
        (block, words) -> {
          for (int i = 0; i < 1 << shift; i++) {
            int targetBlock = (block << shift) + i;
            if (targetBlock < blocks && anySet(words, i * bits, bits)) {
              spread(words, i * bits, shift, spread);
              builder.addBlock(targetBlock, spread);
            }
          }
        });
    return builder.build();
  }

  private static boolean anySet(long[] words, int firstBit, int count) {
    if (count < Long.SIZE) {
      return (words[firstBit >>> 6] >>> firstBit & ((1L << count) - 1)) != 0;
    }
    for (int i = 0; i < count / Long.SIZE; i++) {
      if (words[(firstBit >>> 6) + i] != 0) {
        return true;
      }
    }
    return false;
  }

  private static void spread(long[] words, int firstBit, int shift, long[] into) {
    long mask = everyBit(shift);
    for (int i = 0; i < into.length; i++) {
      int bit = firstBit + ((i * Long.SIZE) >>> shift);
      long from = words[bit >>> 6] >>> bit;
      if (mask == 0) {
        into[i] = -(from & 1);
      } else {
        into[i] = stretched(from & ((1L << (Long.SIZE >>> shift)) - 1), shift, mask);
      }
    }
  }
}
