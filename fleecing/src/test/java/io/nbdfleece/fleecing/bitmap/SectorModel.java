// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.BitSet;
import java.util.Random;

/// What a set of granules must be, told sector by sector in the plainest way.
record SectorModel(long sizeBytes, int granularityBytes, BitSet dirty) {
  static final int SECTOR_BYTES = 512;

  SectorModel(long sizeBytes, int granularityBytes) {
    this(sizeBytes, granularityBytes, new BitSet());
  }

  int sectors() {
    return Math.toIntExact((sizeBytes + SECTOR_BYTES - 1) / SECTOR_BYTES);
  }

  private int sectorsPerGranule() {
    return granularityBytes / SECTOR_BYTES;
  }

  void add(long offsetBytes, long lengthBytes) {
    if (lengthBytes > 0) {
      long first = offsetBytes / granularityBytes * sectorsPerGranule();
      long last = (offsetBytes + lengthBytes - 1) / granularityBytes * sectorsPerGranule();
      dirty.set((int) first, (int) Math.min(last + sectorsPerGranule(), sectors()));
    }
  }

  SectorModel with(int otherGranularityBytes) {
    SectorModel other = new SectorModel(sizeBytes, otherGranularityBytes);
    for (int start = dirty.nextSetBit(0); start >= 0; ) {
      int end = dirty.nextClearBit(start);
      other.add((long) start * SECTOR_BYTES, lengthBytes(start, end));
      start = dirty.nextSetBit(end);
    }
    return other;
  }

  private long lengthBytes(int startSector, int endSector) {
    return Math.min((long) endSector * SECTOR_BYTES, sizeBytes) - (long) startSector * SECTOR_BYTES;
  }

  SectorModel or(SectorModel other) {
    SectorModel or = with(granularityBytes);
    or.dirty.or(other.with(granularityBytes).dirty);
    return or;
  }

  SectorModel and(SectorModel other) {
    SectorModel and = with(granularityBytes);
    and.dirty.and(other.with(granularityBytes).dirty);
    return and;
  }

  SectorModel minus(SectorModel other) {
    BitSet left = (BitSet) dirty.clone();
    left.andNot(other.dirty);
    return new SectorModel(sizeBytes, granularityBytes, left).with(granularityBytes);
  }

  long dirtyGranules() {
    long count = 0;
    for (int sector = 0; sector < sectors(); sector += sectorsPerGranule()) {
      count += dirty.get(sector) ? 1 : 0;
    }
    return count;
  }

  long stretchEnd(long offsetBytes, long endBytes) {
    int sector = (int) (offsetBytes / SECTOR_BYTES);
    int next = dirty.get(sector) ? dirty.nextClearBit(sector) : dirty.nextSetBit(sector);
    return next < 0 ? endBytes : Math.min(endBytes, (long) next * SECTOR_BYTES);
  }

  /// Compares all that a set tells.
  void check(GranuleSet set, Random random) {
    assertEquals(sizeBytes, set.sizeBytes());
    assertEquals(granularityBytes, set.granularityBytes());
    assertEquals(dirtyGranules() * granularityBytes, set.dirtyBytes());
    assertEquals(dirty.isEmpty(), set.isEmpty());
    SectorModel told = new SectorModel(sizeBytes, granularityBytes);
    long[] before = {-1};
    set.forEachRange(
        (offsetBytes, lengthBytes) -> {
          assertEquals(0, offsetBytes % granularityBytes);
          assertEquals(true, offsetBytes > before[0] && lengthBytes > 0, "apart and ascending");
          before[0] = offsetBytes + lengthBytes;
          assertEquals(true, before[0] == sizeBytes || before[0] % granularityBytes == 0);
          told.dirty.set(
              (int) (offsetBytes / SECTOR_BYTES),
              (int) ((before[0] + SECTOR_BYTES - 1) / SECTOR_BYTES));
        });
    assertEquals(dirty, told.dirty);
    for (int i = 0; i < 50 && sizeBytes > 0; i++) {
      long offset = random.nextLong(sizeBytes);
      long end = random.nextLong(offset, sizeBytes) + 1;
      assertEquals(dirty.get((int) (offset / SECTOR_BYTES)), set.isDirty(offset));
      assertEquals(stretchEnd(offset, end), set.stretchEnd(offset, end));
      int next = dirty.nextSetBit((int) (offset / SECTOR_BYTES));
      long nextBytes = next < 0 ? sizeBytes : Math.max(offset, (long) next * SECTOR_BYTES);
      assertEquals(nextBytes, set.nextDirty(offset));
      assertEquals(nextBytes < end, set.isDirty(offset, end - offset));
    }
  }

  static int randomGranularity(Random random, int shiftMax) {
    return 1 << random.nextInt(9, shiftMax + 1);
  }

  /// A disk of odd size, sometimes tiny, sometimes a whole number of blocks.
  static long randomSize(Random random) {
    return switch (random.nextInt(4)) {
      case 0 -> random.nextInt(3000);
      case 1 -> (long) random.nextInt(1, 5) << 25;
      case 2 -> random.nextLong(1L << 24);
      default -> random.nextLong(1L << 27);
    };
  }

  static long randomLength(Random random, long most) {
    return 1 + random.nextLong(Math.min(most, 1L << random.nextInt(30)));
  }

  static long seed(String test) {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println(test + ": -Dtest.seed=" + seed);
    return seed;
  }
}
