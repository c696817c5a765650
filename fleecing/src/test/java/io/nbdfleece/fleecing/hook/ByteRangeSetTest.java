// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class ByteRangeSetTest {
  @Test
  void piecesInAnyOrderJoin() {
    ByteRangeSet set = new ByteRangeSet();
    assertEquals(new ByteRangeSet.Range(10, 20), set.add(10, 20));
    assertEquals(new ByteRangeSet.Range(30, 40), set.add(30, 40));
    assertEquals(new ByteRangeSet.Range(10, 40), set.add(20, 30));
    assertEquals(1, set.rangeCount());
  }

  @Test
  void cutLeavesWhatSticksOut() {
    ByteRangeSet set = new ByteRangeSet();
    set.add(5, 50);
    set.cut(10, 40);
    assertEquals(new ByteRangeSet.Range(5, 12), set.add(10, 12));
    assertEquals(new ByteRangeSet.Range(39, 50), set.add(39, 40));
  }

  @Test
  void agreesWithABitSet() {
    Random random = new Random(4);
    for (int round = 0; round < 500; round++) {
      ByteRangeSet set = new ByteRangeSet();
      BitSet bits = new BitSet();
      for (int i = 0; i < 40; i++) {
        int start = random.nextInt(300);
        int end = start + 1 + random.nextInt(20);
        bits.set(start, end);
        ByteRangeSet.Range joined = set.add(start, end);
        assertEquals(bits.previousClearBit(start) + 1, joined.startBytes());
        assertEquals(bits.nextClearBit(start), joined.endBytes());
      }
    }
  }

  @Test
  void memoryIsBounded() {
    ByteRangeSet set = new ByteRangeSet();
    for (long i = 0; i < 3L * ByteRangeSet.RANGES_MAX; i++) {
      set.add(i * 2, i * 2 + 1);
    }
    assertEquals(ByteRangeSet.RANGES_MAX, set.rangeCount());
  }
}
