// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32C;
import org.roaringbitmap.BitSetUtil;
import org.roaringbitmap.RoaringBitmap;

/// Bits in a mapped file: what is set here survives the end of the process, however it comes.
///
/// **Threads.** Any thread.
final class MappedBits implements BitArray {
  /*
   * In front of the bits is a summary with one bit for each page of them, set before the page's
   * first bit. Whatever reads the array (a set, a checksum) skips pages whose summary bit is clear,
   * so that an array of 32 MiB of which a little was used is read in no time, and without filling
   * the page cache with zeroes.
   *
   * A mark is set only when both its own bit and its page's are. So a bit that is set in a page
   * without a summary bit (damage) can never make a mark be left out.
   *
   * A power failure may keep a bit and lose its page's summary bit. That is the same as losing the
   * bit: its region is in the activity log unless the whole file was forced since.
   */
  static final int PAGE_BYTES = 4096;
  private static final int PAGE_WORDS_SHIFT = 9;
  private static final long PAGE_GRANULES = PAGE_BYTES * 8L;

  /// Read at once into a set: a multiple of what one container of RoaringBitmap holds.
  private static final int WINDOW_PAGES = 64;

  private static final VarHandle WORD = ValueLayout.JAVA_LONG.varHandle().withInvokeExactBehavior();

  private final MemorySegment memory;
  private final long summaryOffset;
  private final long bitsOffset;
  private final long pages;
  private final long sizeBytes;
  private final int granularityBytes;
  private final int shift;

  /// The file is not named any more, and its memory may have gone: marks have no meaning.
  private volatile boolean dropped;

  private volatile boolean failed;
  private volatile int turns = 2;
  private volatile Runnable whenFailed = () -> {};

  /// @param offset of the summary
  MappedBits(MemorySegment memory, long offset, long sizeBytes, int granularityBytes) {
    this.memory = memory;
    this.sizeBytes = sizeBytes;
    this.granularityBytes = granularityBytes;
    this.shift = Integer.numberOfTrailingZeros(granularityBytes);
    this.pages = pages(sizeBytes, granularityBytes);
    this.summaryOffset = offset;
    this.bitsOffset = offset + summaryBytes(pages);
  }

  /// What summary and bits take together.
  static long bytes(long sizeBytes, int granularityBytes) {
    long pages = pages(sizeBytes, granularityBytes);
    return summaryBytes(pages) + pages * PAGE_BYTES;
  }

  private static long pages(long sizeBytes, int granularityBytes) {
    long granules = Math.ceilDiv(sizeBytes, granularityBytes);
    return Math.max(1, Math.ceilDiv(granules, PAGE_GRANULES));
  }

  private static long summaryBytes(long pages) {
    return Math.ceilDiv(pages, PAGE_GRANULES) * PAGE_BYTES;
  }

  /// Fails when a bit is set that stands for nothing: then others may be missing.
  void requireWhole() throws IOException {
    long granules = Math.ceilDiv(sizeBytes, granularityBytes);
    for (long granule = granules; granule < pages * PAGE_GRANULES; ) {
      long word = memory.get(ValueLayout.JAVA_LONG, bitsOffset + (granule >>> 6) * Long.BYTES);
      if ((word & -1L << granule) != 0) {
        throw new IOException("marks behind the end of the disk");
      }
      granule = (granule | 63) + 1;
    }
  }

  @Override
  public long sizeBytes() {
    return sizeBytes;
  }

  @Override
  public int granularityBytes() {
    return granularityBytes;
  }

  /// From now on marks may have no effect.
  void drop() {
    dropped = true;
  }

  @Override
  public void mark(long offsetBytes, long lengthBytes) {
    if (lengthBytes <= 0 || failed) {
      return;
    }
    long first = offsetBytes >>> shift;
    long last = (offsetBytes + lengthBytes - 1) >>> shift;
    long word = first >>> 6;
    long lastWord = last >>> 6;
    long mask = -1L << first;
    long lastMask = -1L >>> ~last;
    try {
      while (word < lastWord) {
        set(word, mask);
        mask = -1L;
        word++;
      }
      set(word, mask & lastMask);
      meetErrors();
    } catch (IllegalStateException e) {
      if (!dropped) {
        throw e;
      }
      // A write that began before its array was replaced; the new one has its mark.
    } catch (InternalError e) { // what became of a bus error
      failed();
    }
  }

  @Override
  public boolean isWhole() {
    return !failed;
  }

  /* The guest's write matters more, so it goes on. */
  @Override
  public void failed() {
    if (!failed) {
      failed = true;
      whenFailed.run();
    }
  }

  /// @param told once or a few times, by any thread; must not wait
  void whenFailed(Runnable told) {
    whenFailed = told;
  }

  /* Java throws what becomes of a bus error at the next safepoint of compiled code. Behind #mark
   * the write may have been handed to a worker by then, and could not be called back. The turn of a
   * loop whose end is not known when it is compiled is a safepoint. */
  private void meetErrors() {
    int turn = 0;
    while (turn < turns) {
      turn++;
    }
  }

  private void set(long word, long mask) {
    long page = word >>> PAGE_WORDS_SHIFT;
    or(summaryOffset + (page >>> 6) * Long.BYTES, 1L << page);
    or(bitsOffset + word * Long.BYTES, mask);
  }

  private void or(long offset, long mask) {
    if (((long) WORD.getVolatile(memory, offset) & mask) != mask) {
      long _ = (long) WORD.getAndBitwiseOr(memory, offset, mask);
    }
  }

  @Override
  public void markAll(GranuleSet set) {
    RoaringBitmap granules = set.granules();
    long granularity = set.granularityBytes();
    long start = granules.isEmpty() ? -1 : Integer.toUnsignedLong(granules.first());
    while (start >= 0) {
      long end = granules.nextAbsentValue((int) start); // never the last one of 2^32
      long offsetBytes = start * granularity;
      mark(offsetBytes, Math.min(set.sizeBytes(), end * granularity) - offsetBytes);
      start = granules.nextValue((int) end);
    }
  }

  @Override
  public long nextDirty(long offsetBytes, long endBytes) {
    return look(offsetBytes, endBytes, true);
  }

  @Override
  public long nextClean(long offsetBytes, long endBytes) {
    return look(offsetBytes, endBytes, false);
  }

  /* The error is met here too: behind this method what was read of failing memory would be told. */
  private long look(long offsetBytes, long endBytes, boolean dirty) {
    try {
      long found = next(offsetBytes, endBytes, dirty);
      meetErrors();
      return found;
    } catch (InternalError e) {
      failed();
      throw e;
    }
  }

  private long next(long offsetBytes, long endBytes, boolean dirty) {
    long granule = offsetBytes >>> shift;
    while (granule << shift < endBytes) {
      if (isUsed(granule / PAGE_GRANULES)) {
        long bits = (long) WORD.getVolatile(memory, bitsOffset + (granule >>> 6) * Long.BYTES);
        long found = (dirty ? bits : ~bits) & -1L << granule;
        if (found != 0) {
          long at = (granule & -64L) + Long.numberOfTrailingZeros(found);
          return Math.min(endBytes, Math.max(offsetBytes, at << shift));
        }
        granule = (granule | 63) + 1;
      } else if (dirty) {
        granule = (granule / PAGE_GRANULES + 1) * PAGE_GRANULES;
      } else {
        return Math.max(offsetBytes, granule << shift);
      }
    }
    return endBytes;
  }

  @Override
  public GranuleSet toSet() {
    RoaringBitmap all = new RoaringBitmap();
    long[] words = new long[WINDOW_PAGES << PAGE_WORDS_SHIFT];
    for (long window = 0; window < pages; window += WINDOW_PAGES) {
      long end = Math.min(pages, window + WINDOW_PAGES);
      boolean any = false;
      for (long page = window; page < end; page++) {
        int at = (int) (page - window) << PAGE_WORDS_SHIFT;
        if (isUsed(page)) {
          any = true;
          MemorySegment.copy(
              memory,
              ValueLayout.JAVA_LONG,
              bitsOffset + page * PAGE_BYTES,
              words,
              at,
              1 << PAGE_WORDS_SHIFT);
        } else {
          Arrays.fill(words, at, at + (1 << PAGE_WORDS_SHIFT), 0);
        }
      }
      if (any) {
        Arrays.fill(words, (int) (end - window) << PAGE_WORDS_SHIFT, words.length, 0);
        all.or(RoaringBitmap.addOffset(BitSetUtil.bitmapOf(words), window * PAGE_GRANULES));
      }
    }
    all.remove(Math.ceilDiv(sizeBytes, granularityBytes), 1L << 32); // whoever has set them
    return GranuleSet.of(sizeBytes, granularityBytes, all);
  }

  @Override
  public long dirtyBytes() {
    try {
      return countDirtyBytes();
    } catch (InternalError e) {
      failed();
      return 0;
    }
  }

  private long countDirtyBytes() {
    long count = 0;
    for (long page = 0; page < pages; page++) {
      if (isUsed(page)) {
        long start = bitsOffset + page * PAGE_BYTES;
        for (long at = start; at < start + PAGE_BYTES; at += Long.BYTES) {
          count += Long.bitCount(memory.get(ValueLayout.JAVA_LONG, at));
        }
      }
    }
    return count * granularityBytes;
  }

  private boolean isUsed(long page) {
    long word = (long) WORD.getVolatile(memory, summaryOffset + (page >>> 6) * Long.BYTES);
    return (word >>> page & 1) != 0;
  }

  /// Of the summary and the pages that it names.
  int checksum() {
    CRC32C crc = new CRC32C();
    crc.update(copy(summaryOffset, bitsOffset - summaryOffset));
    for (long page = 0; page < pages; page++) {
      if (isUsed(page)) {
        crc.update(copy(bitsOffset + page * PAGE_BYTES, PAGE_BYTES));
      }
    }
    return (int) crc.getValue();
  }

  private ByteBuffer copy(long offset, long length) {
    byte[] copy = new byte[(int) length];
    MemorySegment.copy(memory, ValueLayout.JAVA_BYTE, offset, copy, 0, copy.length);
    return ByteBuffer.wrap(copy);
  }
}
