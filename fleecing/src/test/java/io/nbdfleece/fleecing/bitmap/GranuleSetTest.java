// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.roaringbitmap.RoaringBitmap;

@Timeout(60)
final class GranuleSetTest {
  private static final long MOST = Granules.COUNT_MAX;
  private static final long HALF = 1L << 31;

  private record Pair(SectorModel model, GranuleSet set) {}

  private static Pair randomPair(Random random, long sizeBytes) {
    int granularity = SectorModel.randomGranularity(random, random.nextBoolean() ? 13 : 27);
    SectorModel model = new SectorModel(sizeBytes, granularity);
    GranuleSet.Builder builder = GranuleSet.builder(sizeBytes, granularity);
    int ranges = sizeBytes == 0 ? 0 : random.nextInt(1 << random.nextInt(10));
    for (int i = 0; i < ranges; i++) {
      long offset = random.nextLong(sizeBytes);
      long length = SectorModel.randomLength(random, sizeBytes - offset);
      model.add(offset, length);
      builder.addRange(offset, length);
    }
    return new Pair(model, builder.build());
  }

  @Test
  void setsAreWhatTheModelSays() {
    Random random = new Random(SectorModel.seed("GranuleSetTest.sets"));
    for (int round = 0; round < 300; round++) {
      Pair pair = randomPair(random, SectorModel.randomSize(random));
      pair.model.check(pair.set, random);
    }
  }

  @Test
  void changingTheGranularityRoundsOutward() {
    Random random = new Random(SectorModel.seed("GranuleSetTest.granularity"));
    for (int round = 0; round < 300; round++) {
      Pair pair = randomPair(random, SectorModel.randomSize(random));
      int other = SectorModel.randomGranularity(random, 30);
      pair.model.with(other).check(pair.set.withGranularity(other), random);
    }
  }

  @Test
  void setAlgebraIsWhatTheModelSays() {
    Random random = new Random(SectorModel.seed("GranuleSetTest.algebra"));
    for (int round = 0; round < 200; round++) {
      long size = SectorModel.randomSize(random);
      Pair a = randomPair(random, size);
      Pair b = randomPair(random, size);
      a.model.or(b.model).check(a.set.union(b.set), random);
      a.model.and(b.model).check(a.set.intersection(b.set), random);
      a.model.minus(b.model).check(a.set.minus(b.set), random);
      SectorModel all = new SectorModel(size, a.set.granularityBytes());
      all.add(0, size);
      all.check(GranuleSet.full(size, a.set.granularityBytes()), random);
      all.minus(a.model).check(a.set.complement(), random);
      assertEquals(a.set, a.set.complement().complement());
    }
  }

  @Test
  void blocksGoIntoASetAndComeOutOfItAgain() {
    Random random = new Random(SectorModel.seed("GranuleSetTest.blocks"));
    for (int round = 0; round < 100; round++) {
      Pair pair = randomPair(random, SectorModel.randomSize(random));
      List<Integer> order = new ArrayList<>();
      List<long[]> blocks = new ArrayList<>();
      pair.set.forEachBlock(
          (block, words) -> {
            order.add(block);
            blocks.add(words.clone());
          });
      GranuleSet.Builder ascending =
          GranuleSet.builder(pair.set.sizeBytes(), pair.set.granularityBytes());
      GranuleSet.Builder descending =
          GranuleSet.builder(pair.set.sizeBytes(), pair.set.granularityBytes());
      for (int i = 0; i < blocks.size(); i++) {
        int back = blocks.size() - 1 - i;
        ascending.addBlock(order.get(i), blocks.get(i));
        descending
            .addBlock(order.get(back), blocks.get(back))
            .addBlock(order.get(back), blocks.get(back));
      }
      assertEquals(pair.set, ascending.build());
      assertEquals(pair.set, descending.build());
    }
  }

  @Test
  void bitsBeyondTheDiskAreIgnored() {
    long[] words = new long[Granules.BLOCK_WORDS];
    java.util.Arrays.fill(words, -1L);
    GranuleSet expected = GranuleSet.full(70_000L * 512 - 1, 512);
    GranuleSet.Builder builder = GranuleSet.builder(70_000L * 512 - 1, 512);
    assertEquals(expected, builder.addBlock(0, words).addFullBlock(1).build());
    assertThrows(
        IllegalArgumentException.class, () -> GranuleSet.builder(512, 512).addBlock(1, words));
  }

  @Test
  void numbersInTheUpperHalfAreFoundFromTheLowerOne() {
    RoaringBitmap granules = new RoaringBitmap();
    granules.add(0);
    granules.add(HALF - 1, HALF + 1);
    granules.add(MOST - 1, MOST);
    GranuleSet set = GranuleSet.of(MOST * 512 - 11, 512, granules);
    List<Long> bounds = new ArrayList<>();
    set.forEachRange(
        (offset, length) -> {
          bounds.add(offset);
          bounds.add(offset + length);
        });
    assertEquals(
        List.of(0L, 512L, (HALF - 1) * 512, (HALF + 1) * 512, (MOST - 1) * 512, set.sizeBytes()),
        bounds);
    assertEquals((HALF - 1) * 512, set.stretchEnd(512, set.sizeBytes()));
    assertEquals((HALF + 1) * 512, set.stretchEnd((HALF - 1) * 512 + 5, set.sizeBytes()));
    assertEquals(4 * 512, set.dirtyBytes());
    assertTrue(set.isDirty(set.sizeBytes() - 1));
    assertFalse(set.isDirty((MOST - 1) * 512 - 1));
    assertEquals(set, set.complement().complement());
    assertEquals(4L << 30, set.withGranularity(1 << 30).dirtyBytes());
  }

  @Test
  void lowestUpperContainerIsNotMistakenForALowerOne() {
    RoaringBitmap granules = RoaringBitmap.bitmapOfRange(HALF, HALF + 100);
    GranuleSet set = GranuleSet.of(MOST * 512, 512, granules);
    assertEquals(HALF * 512, set.stretchEnd(5 * 512, set.sizeBytes()));
    assertEquals(7 * 512, set.stretchEnd(5 * 512, 7 * 512));
    assertEquals(HALF * 512, set.nextDirty(0));
    assertEquals((HALF + 100) * 512, set.stretchEnd(HALF * 512, set.sizeBytes()));
  }

  @Test
  void theLargestSetIsFull() {
    GranuleSet set = GranuleSet.full(MOST * 512, 512);
    assertEquals(MOST * 512, set.dirtyBytes());
    assertEquals(set.sizeBytes(), set.stretchEnd(0, set.sizeBytes()));
    assertTrue(set.complement().isEmpty());
    assertEquals(GranuleSet.full(set.sizeBytes(), 65_536), set.withGranularity(65_536));
    assertEquals(set, GranuleSet.full(set.sizeBytes(), 65_536).withGranularity(512));
  }

  @Test
  void whatIsNoPowerOfTwoFrom512IsRefused() {
    for (int granularity : new int[] {0, -1, 1, 256, 511, 513, 768, Integer.MIN_VALUE}) {
      assertThrows(IllegalArgumentException.class, () -> GranuleSet.empty(1 << 20, granularity));
    }
    assertEquals(1 << 30, GranuleSet.empty(1, 1 << 30).granularityBytes());
  }

  @Test
  void moreGranulesThanHaveNumbersAreRefusedWithAGranularityThatWorks() {
    IllegalArgumentException refused =
        assertThrows(IllegalArgumentException.class, () -> GranuleSet.empty(MOST * 512 + 1, 512));
    assertTrue(refused.toString().contains("at least 1024"), refused.toString());
    assertTrue(GranuleSet.empty(MOST * 512 + 1, 1024).isEmpty());
    assertThrows(
        IllegalArgumentException.class,
        () -> GranuleSet.full(1L << 42, 65_536).withGranularity(512));
    assertEquals(MOST * (1L << 30), GranuleSet.full(MOST << 30, 1 << 30).dirtyBytes());
  }

  @Test
  void granulesBeyondTheDiskAreRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> GranuleSet.of(65_537, 65_536, RoaringBitmap.bitmapOf(2)));
    assertThrows(
        IllegalArgumentException.class, () -> GranuleSet.of(0, 65_536, RoaringBitmap.bitmapOf(0)));
    assertThrows(
        IndexOutOfBoundsException.class, () -> GranuleSet.builder(1000, 512).addRange(999, 2));
  }

  @Test
  void setsOfDisksOfDifferentSizesDoNotMix() {
    GranuleSet a = GranuleSet.empty(1000, 512);
    GranuleSet b = GranuleSet.empty(1001, 512);
    assertThrows(IllegalArgumentException.class, () -> a.union(b));
    assertThrows(IllegalArgumentException.class, () -> a.intersection(b));
    assertThrows(IllegalArgumentException.class, () -> a.minus(b));
  }

  @Test
  void algebraLeavesItsOperandsAsTheyWere() {
    Random random = new Random(SectorModel.seed("GranuleSetTest.operands"));
    Pair a = randomPair(random, 5_000_003);
    Pair b = randomPair(random, 5_000_003);
    BitSet before = (BitSet) a.model.dirty().clone();
    a.set.union(b.set).complement().minus(a.set).intersection(b.set);
    assertEquals(before, a.model.dirty());
    a.model.check(a.set, random);
    b.model.check(b.set, random);
  }
}
