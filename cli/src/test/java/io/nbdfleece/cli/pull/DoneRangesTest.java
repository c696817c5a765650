// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class DoneRangesTest {
  private static final int SIZE_BYTES = 200;
  private static final long SEED = 20261121;

  @Test
  void neighboursBecomeOne() {
    DoneRanges done = new DoneRanges();
    done.add(new ByteRange(0, 10));
    done.add(new ByteRange(20, 10));
    done.add(new ByteRange(10, 10));
    assertEquals(List.of(new ByteRange(0, 30)), done.ranges());
    assertEquals(30, done.totalBytes());
  }

  @Test
  void itAgreesWithABitSet() {
    Random random = new Random(SEED);
    for (int round = 0; round < 200; round++) {
      DoneRanges done = new DoneRanges();
      BitSet bits = new BitSet(SIZE_BYTES);
      for (int i = random.nextInt(12); i > 0; i--) {
        int offset = random.nextInt(SIZE_BYTES);
        int length = 1 + random.nextInt(Math.min(40, SIZE_BYTES - offset));
        done.add(new ByteRange(offset, length));
        bits.set(offset, offset + length);
      }
      assertEquals(bits.cardinality(), done.totalBytes(), "seed=" + SEED + " round=" + round);
      assertEquals(gaps(bits), done.gaps(SIZE_BYTES), "seed=" + SEED + " round=" + round);
      for (int at = 0; at < SIZE_BYTES; at++) {
        assertEquals(bits.nextClearBit(at), done.endOfDone(at), "at=" + at + " " + bits);
      }
    }
  }

  private static List<ByteRange> gaps(BitSet bits) {
    List<ByteRange> gaps = new ArrayList<>();
    int at = bits.nextClearBit(0);
    while (at < SIZE_BYTES) {
      int set = bits.nextSetBit(at);
      int end = set < 0 ? SIZE_BYTES : set;
      gaps.add(new ByteRange(at, end - at));
      at = bits.nextClearBit(end);
    }
    return gaps;
  }
}
