// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
final class HeapBitArrayTest {

  @Test
  void marksAreWhatTheModelSays() {
    Random random = new Random(SectorModel.seed("HeapBitArrayTest"));
    for (int round = 0; round < 300; round++) {
      long size = SectorModel.randomSize(random);
      int granularity = SectorModel.randomGranularity(random, random.nextBoolean() ? 12 : 26);
      SectorModel model = new SectorModel(size, granularity);
      HeapBitArray bits = new HeapBitArray(size, granularity);
      int marks = size == 0 ? 0 : random.nextInt(1 << random.nextInt(10));
      for (int i = 0; i < marks; i++) {
        long offset = random.nextLong(size);
        long length = SectorModel.randomLength(random, size - offset);
        model.add(offset, length);
        bits.mark(offset, length);
      }
      model.check(bits.toSet(), random);
      assertEquals(bits.toSet().dirtyBytes(), bits.dirtyBytes());
    }
  }

  @Test
  void setsOfAnyGranularityAreMarkedOutward() {
    Random random = new Random(SectorModel.seed("HeapBitArrayTest.markAll"));
    for (int round = 0; round < 200; round++) {
      long size = 1 + SectorModel.randomSize(random);
      HeapBitArray bits = new HeapBitArray(size, SectorModel.randomGranularity(random, 20));
      GranuleSet expected = GranuleSet.empty(size, bits.granularityBytes());
      for (int i = 0; i < 3; i++) {
        long offset = random.nextLong(size);
        GranuleSet set =
            GranuleSet.builder(size, SectorModel.randomGranularity(random, 20))
                .addRange(offset, SectorModel.randomLength(random, size - offset))
                .build();
        bits.markAll(set);
        expected = expected.union(set);
      }
      assertEquals(expected, bits.toSet());
      assertEquals(expected.dirtyBytes(), bits.dirtyBytes());
    }
  }

  @Test
  void everyBoundaryOfAWordAndABlockIsMarkedExactly() {
    long granules = 3 * 65_536 + 1;
    long[] edges = {0, 1, 62, 63, 64, 65, 127, 128, 65_535, 65_536, 65_537, 131_071, 131_072};
    for (long first : edges) {
      for (long last : new long[] {first, first + 1, first + 63, first + 65_536, granules - 1}) {
        HeapBitArray bits = new HeapBitArray(granules * 512 - 100, 512);
        long end = Math.min((last + 1) * 512, bits.sizeBytes());
        bits.mark(first * 512, end - first * 512);
        assertEquals(
            GranuleSet.builder(bits.sizeBytes(), 512)
                .addRange(first * 512, end - first * 512)
                .build(),
            bits.toSet());
      }
    }
  }

  @Test
  void theLargestArrayKeepsItsFirstAndItsLastGranule() {
    HeapBitArray bits = new HeapBitArray(Granules.COUNT_MAX * 512, 512);
    bits.mark(0, 1);
    bits.mark((1L << 31) * 512 - 1, 2);
    bits.mark(bits.sizeBytes() - 1, 1);
    List<Long> starts = new ArrayList<>();
    bits.toSet().forEachRange((offset, length) -> starts.add(offset));
    assertEquals(List.of(0L, (1L << 31) * 512 - 512, bits.sizeBytes() - 512), starts);
    bits.mark(0, bits.sizeBytes());
    assertEquals(GranuleSet.full(bits.sizeBytes(), 512), bits.toSet());
    assertEquals(bits.sizeBytes(), bits.dirtyBytes());
  }

  @Test
  void rangesOutsideAndSetsOfOtherDisksAreRefused() {
    HeapBitArray bits = new HeapBitArray(1000, 512);
    assertThrows(IndexOutOfBoundsException.class, () -> bits.mark(999, 2));
    assertThrows(IndexOutOfBoundsException.class, () -> bits.mark(-1, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> bits.mark(1, Long.MAX_VALUE));
    assertThrows(IllegalArgumentException.class, () -> bits.markAll(GranuleSet.empty(1001, 512)));
    bits.mark(1000, 0);
    assertEquals(0, bits.dirtyBytes());
  }

  /// Short and long marks, and sets, of many threads at once, in blocks that are being allocated
  /// and filled up meanwhile.
  @Test
  void concurrentMarksAreAllThere() throws Exception {
    long seed = SectorModel.seed("HeapBitArrayTest.concurrent");
    int threads = 8;
    for (int round = 0; round < 12; round++) {
      long size = (6L << 25) - new Random(seed + round).nextInt(100_000);
      HeapBitArray bits = new HeapBitArray(size, 512);
      CyclicBarrier start = new CyclicBarrier(threads);
      List<Future<GranuleSet>> marked = new ArrayList<>();
      try (ExecutorService executor = Executors.newFixedThreadPool(threads)) {
        for (int thread = 0; thread < threads; thread++) {
          Random random = new Random(seed + round * 1000L + thread);
          marked.add(
              executor.submit(
                  () -> {
                    start.await();
                    return markAtRandom(bits, random);
                  }));
        }
      }
      GranuleSet expected = GranuleSet.empty(size, 512);
      for (Future<GranuleSet> one : marked) {
        expected = expected.union(one.get());
      }
      assertEquals(expected, bits.toSet());
      assertEquals(expected.dirtyBytes(), bits.dirtyBytes());
    }
  }

  private static GranuleSet markAtRandom(HeapBitArray bits, Random random) {
    GranuleSet.Builder marked = GranuleSet.builder(bits.sizeBytes(), 512);
    for (int i = 0; i < 4000; i++) {
      long offset = random.nextLong(bits.sizeBytes());
      long length =
          Math.min(
              bits.sizeBytes() - offset, 1L << random.nextInt(random.nextInt(500) == 0 ? 27 : 14));
      if (random.nextInt(100) == 0) {
        bits.markAll(GranuleSet.builder(bits.sizeBytes(), 512).addRange(offset, length).build());
      } else {
        bits.mark(offset, length);
      }
      marked.addRange(offset, length);
    }
    return marked.build();
  }
}
