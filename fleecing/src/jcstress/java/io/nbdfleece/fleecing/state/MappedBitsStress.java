// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.lang.foreign.MemorySegment;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;
import org.openjdk.jcstress.infra.results.ZZ_Result;

/// Marks in a mapped file that are set at the same moment. The memory is an array here.
public class MappedBitsStress {
  private static final int GRANULE = 512;
  private static final long SIZE = 256L * GRANULE;

  private MappedBitsStress() {}

  private static MappedBits bits() {
    long[] words = new long[(int) (MappedBits.bytes(SIZE, GRANULE) / Long.BYTES)];
    return new MappedBits(MemorySegment.ofArray(words), 0, SIZE, GRANULE);
  }

  private static boolean isDirty(MappedBits bits, int granule) {
    long offset = (long) granule * GRANULE;
    return bits.nextDirty(offset, offset + 1) == offset;
  }

  private static void mark(MappedBits bits, int granule) {
    bits.mark((long) granule * GRANULE, GRANULE);
  }

  /// The first marks of a page, whose summary both set.
  @JCStressTest
  @Outcome(id = "true, true", expect = Expect.ACCEPTABLE, desc = "both are there")
  @State
  public static class OnePage {
    private final MappedBits bits = bits();

    @Actor
    public void one() {
      mark(bits, 0);
    }

    @Actor
    public void other() {
      mark(bits, 1);
    }

    @Arbiter
    public void end(ZZ_Result result) {
      result.r1 = isDirty(bits, 0);
      result.r2 = isDirty(bits, 1);
    }
  }

  /// Who marks and then asks whether the region is on record, against who takes it off the record
  /// and then keeps the marks: one of both sees the other.
  @JCStressTest
  @Outcome(id = "0, 0", expect = Expect.FORBIDDEN, desc = "neither saw the other: a mark is lost")
  @Outcome(expect = Expect.ACCEPTABLE, desc = "one of both saw the other")
  @State
  public static class MarkThenAsk {
    private final MappedBits bits = bits();
    private volatile int retired;

    @Actor
    public void writer(II_Result result) {
      mark(bits, 7);
      result.r1 = retired;
    }

    @Actor
    public void retirer(II_Result result) {
      retired = 1;
      result.r2 = isDirty(bits, 7) ? 1 : 0;
    }
  }
}
