// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;
import org.openjdk.jcstress.infra.results.ZZ_Result;

/// Marks that are set at the same moment.
public class HeapBitArrayStress {
  private static final int GRANULE = 512;
  private static final int GRANULES = 256;
  private static final long SIZE = (long) GRANULES * GRANULE;

  private HeapBitArrayStress() {}

  private static boolean isDirty(BitArray bits, int granule) {
    long offset = (long) granule * GRANULE;
    return bits.nextDirty(offset, offset + 1) == offset;
  }

  private static void mark(BitArray bits, int first, int count) {
    bits.mark((long) first * GRANULE, (long) count * GRANULE);
  }

  /// The first marks of a block: one of both allocates its words.
  @JCStressTest
  @Outcome(id = "true, true", expect = Expect.ACCEPTABLE, desc = "both are there")
  @State
  public static class OneWord {
    private final BitArray bits = new HeapBitArray(SIZE, GRANULE);

    @Actor
    public void one() {
      mark(bits, 0, 1);
    }

    @Actor
    public void other() {
      mark(bits, 1, 1);
    }

    @Arbiter
    public void end(ZZ_Result result) {
      result.r1 = isDirty(bits, 0);
      result.r2 = isDirty(bits, 1);
    }
  }

  /// Ranges that overlap, of several words: those in the middle are stored, not combined.
  @JCStressTest
  @Outcome(id = "true, true", expect = Expect.ACCEPTABLE, desc = "all are there")
  @State
  public static class OverlappingRanges {
    private final BitArray bits = new HeapBitArray(SIZE, GRANULE);

    @Actor
    public void one() {
      mark(bits, 1, 200);
    }

    @Actor
    public void other() {
      mark(bits, 100, GRANULES - 101);
    }

    @Arbiter
    public void end(ZZ_Result result) {
      long start = GRANULE;
      long end = SIZE - GRANULE;
      result.r1 = bits.nextDirty(0, SIZE) == start;
      result.r2 = bits.nextClean(start, SIZE) == end;
    }
  }

  /// A block that becomes full as a whole while somebody has its words in hand.
  @JCStressTest
  @Outcome(id = "true, true", expect = Expect.ACCEPTABLE, desc = "all are there")
  @State
  public static class WholeBlock {
    private final BitArray bits = new HeapBitArray(SIZE, GRANULE);

    public WholeBlock() {
      mark(bits, 3, 1);
    }

    @Actor
    public void whole() {
      bits.mark(0, SIZE);
    }

    @Actor
    public void part() {
      mark(bits, 100, 1);
    }

    @Arbiter
    public void end(ZZ_Result result) {
      result.r1 = bits.nextClean(0, SIZE) == SIZE;
      result.r2 = bits.dirtyBytes() == SIZE;
    }
  }

  /// Who marks and then asks whether the region is on record, against who takes it off the record
  /// and then keeps the marks: one of both sees the other.
  @JCStressTest
  @Outcome(id = "0, 0", expect = Expect.FORBIDDEN, desc = "neither saw the other: a mark is lost")
  @Outcome(expect = Expect.ACCEPTABLE, desc = "one of both saw the other")
  @State
  public static class MarkThenAsk {
    private final BitArray bits = new HeapBitArray(SIZE, GRANULE);
    private volatile int retired;

    @Actor
    public void writer(II_Result result) {
      mark(bits, 7, 1);
      result.r1 = retired;
    }

    @Actor
    public void retirer(II_Result result) {
      retired = 1;
      result.r2 = isDirty(bits, 7) ? 1 : 0;
    }
  }

  /// The same with a word in the middle of a range.
  @JCStressTest
  @Outcome(id = "0, 0", expect = Expect.FORBIDDEN, desc = "neither saw the other: a mark is lost")
  @Outcome(expect = Expect.ACCEPTABLE, desc = "one of both saw the other")
  @State
  public static class MarkRangeThenAsk {
    private final BitArray bits = new HeapBitArray(SIZE, GRANULE);
    private volatile int retired;

    public MarkRangeThenAsk() {
      mark(bits, GRANULES - 2, 1); // the last word needs no atomic operation then
      mark(bits, 1, 1);
    }

    @Actor
    public void writer(II_Result result) {
      mark(bits, 1, GRANULES - 2);
      result.r1 = retired;
    }

    @Actor
    public void retirer(II_Result result) {
      retired = 1;
      result.r2 = isDirty(bits, 100) ? 1 : 0;
    }
  }
}
