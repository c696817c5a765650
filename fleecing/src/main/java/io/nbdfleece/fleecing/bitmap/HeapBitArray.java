// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReferenceArray;

/// Bits on the heap. What was never marked costs nothing, nor does what is marked as a whole: the
/// memory is one bit for each granule of the blocks that are marked in part.
///
/// **Threads.** Any thread may call any method at any time; nothing waits and nothing is locked.
public final class HeapBitArray implements BitArray {
  /*
   * One chunk of words for each block of 65,536 granules.
   *
   *     CLEAN ──first mark──▶ words of its own ──marked as a whole──▶ FULL
   *        └──────────────────marked as a whole────────────────────▶ FULL
   *
   * Nobody writes to FULL, because all of its bits are set already. Who still holds the words that
   * FULL replaced sets bits there that nobody reads, and that FULL has too. So no mark is lost.
   *
   * A bit is looked at with the strength of a volatile read: who finds it set, and then asks
   * whether the region is on record, must not have the two the other way round. Setting is a full
   * fence.
   */
  private static final long[] CLEAN = {};
  private static final long[] FULL = allSet();
  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

  private final Granules granules;
  private final int shift;
  private final AtomicReferenceArray<long[]> chunks;

  public HeapBitArray(long sizeBytes, int granularityBytes) {
    this.granules = new Granules(sizeBytes, granularityBytes);
    this.shift = granules.shift();
    long[][] clean = new long[granules.blockCount()][];
    Arrays.fill(clean, CLEAN);
    this.chunks = new AtomicReferenceArray<>(clean);
  }

  private static long[] allSet() {
    long[] words = new long[Granules.BLOCK_WORDS];
    Arrays.fill(words, -1L);
    return words;
  }

  @Override
  public long sizeBytes() {
    return granules.sizeBytes();
  }

  @Override
  public int granularityBytes() {
    return granules.granularityBytes();
  }

  @Override
  public void mark(long offsetBytes, long lengthBytes) {
    Objects.checkFromIndexSize(offsetBytes, lengthBytes, granules.sizeBytes());
    if (lengthBytes == 0) {
      return;
    }
    long first = offsetBytes >>> shift;
    long last = (offsetBytes + lengthBytes - 1) >>> shift;
    if (first == last) {
      int inBlock = (int) first & (Granules.BLOCK_GRANULES - 1);
      set(chunk((int) (first >>> Granules.BLOCK_SHIFT)), inBlock >>> 6, 1L << first);
    } else {
      markGranules(first, last);
    }
  }

  private void markGranules(long first, long last) {
    int firstBlock = (int) (first >>> Granules.BLOCK_SHIFT);
    int lastBlock = (int) (last >>> Granules.BLOCK_SHIFT);
    for (int block = firstBlock; block <= lastBlock; block++) {
      int from = block == firstBlock ? (int) first & (Granules.BLOCK_GRANULES - 1) : 0;
      int to =
          block == lastBlock
              ? (int) last & (Granules.BLOCK_GRANULES - 1)
              : Granules.BLOCK_GRANULES - 1;
      if (from == 0 && to >= granules.granulesIn(block) - 1) {
        markWhole(block);
      } else {
        markWithin(chunk(block), from, to);
      }
    }
  }

  private void markWhole(int block) {
    if (!isFull(chunks.get(block))) {
      chunks.set(block, FULL);
    }
  }

  private static void markWithin(long[] chunk, int from, int to) {
    int firstWord = from >>> 6;
    int lastWord = to >>> 6;
    if (firstWord == lastWord) {
      set(chunk, firstWord, Granules.firstMask(from) & Granules.lastMask(to));
      return;
    }
    set(chunk, firstWord, Granules.firstMask(from));
    for (int word = firstWord + 1; word < lastWord; word++) {
      if ((long) WORD.getVolatile(chunk, word) != -1L) {
        WORD.setRelease(chunk, word, -1L); // takes no bit away from anybody
      }
    }
    set(chunk, lastWord, Granules.lastMask(to));
    VarHandle.fullFence(); // what was set above comes before whatever the caller looks at next
  }

  private static void set(long[] chunk, int word, long mask) {
    if (((long) WORD.getVolatile(chunk, word) & mask) != mask) {
      WORD.getAndBitwiseOr(chunk, word, mask);
    }
  }

  private long[] chunk(int block) {
    long[] chunk = chunks.get(block);
    return chunk.length == 0 ? allocated(block) : chunk;
  }

  private long[] allocated(int block) {
    long[] fresh = new long[Granules.BLOCK_WORDS];
    long[] before = chunks.compareAndExchange(block, CLEAN, fresh);
    return before.length == 0 ? fresh : before;
  }

  @Override
  public void markAll(GranuleSet set) {
    if (set.sizeBytes() != sizeBytes()) {
      throw new IllegalArgumentException(
          "bits of a disk of " + sizeBytes() + " bytes, set of one of " + set.sizeBytes());
    }
    set.withGranularity(granularityBytes())
        .forEachBlock(
            (block, words) -> {
              if (count(words) == granules.granulesIn(block)) {
                markWhole(block);
              } else {
                markWords(chunk(block), words);
              }
            });
  }

  private static void markWords(long[] chunk, long[] words) {
    for (int i = 0; i < words.length; i++) {
      if (words[i] != 0) {
        set(chunk, i, words[i]);
      }
    }
  }

  @Override
  public long nextDirty(long offsetBytes, long endBytes) {
    return next(offsetBytes, endBytes, true);
  }

  @Override
  public long nextClean(long offsetBytes, long endBytes) {
    return next(offsetBytes, endBytes, false);
  }

  private long next(long offsetBytes, long endBytes, boolean dirty) {
    long granule = offsetBytes >>> shift;
    while (granule << shift < endBytes) {
      int block = (int) (granule >>> Granules.BLOCK_SHIFT);
      long[] chunk = chunks.get(block);
      if (chunk.length == 0 || isFull(chunk)) {
        if (chunk.length == 0 != dirty) {
          return Math.max(offsetBytes, granule << shift);
        }
        granule = (block + 1L) << Granules.BLOCK_SHIFT;
      } else {
        int word = (int) granule & (Granules.BLOCK_GRANULES - 1);
        long bits = (long) WORD.getVolatile(chunk, word >>> 6);
        long found = (dirty ? bits : ~bits) & Granules.firstMask(granule);
        if (found != 0) {
          long at = (granule & -64L) + Long.numberOfTrailingZeros(found);
          return Math.min(endBytes, Math.max(offsetBytes, at << shift));
        }
        granule = (granule | 63) + 1;
      }
    }
    return endBytes;
  }

  @Override
  public GranuleSet toSet() {
    GranuleSet.Builder builder = GranuleSet.builder(sizeBytes(), granularityBytes());
    for (int block = 0; block < chunks.length(); block++) {
      long[] chunk = chunks.get(block);
      if (isFull(chunk)) {
        builder.addFullBlock(block);
      } else if (chunk.length > 0) {
        builder.addBlock(block, chunk);
      }
    }
    return builder.build();
  }

  @Override
  public long dirtyBytes() {
    long count = 0;
    for (int block = 0; block < chunks.length(); block++) {
      long[] chunk = chunks.get(block);
      count += isFull(chunk) ? granules.granulesIn(block) : count(chunk);
    }
    return count * granularityBytes();
  }

  @SuppressWarnings("ReferenceEquality") // one array stands for all chunks that are full
  private static boolean isFull(long[] chunk) {
    return chunk == FULL;
  }

  private static int count(long[] words) {
    int count = 0;
    for (long word : words) {
      count += Long.bitCount(word);
    }
    return count;
  }
}
