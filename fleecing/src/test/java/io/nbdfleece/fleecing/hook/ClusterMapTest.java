// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.Test;

/// Walks over what is there, beside a plain array; a disk so large that chunks fill several words.
class ClusterMapTest {
  private static final int CLUSTERS = 150_000;
  private static final int CHUNK_CLUSTERS = 1024;

  private final Random random = new Random(5);

  private static int nextPresent(int[] versions, int from, int end) {
    int cluster = from;
    while (cluster < end && versions[cluster] == ClusterMap.ABSENT) {
      cluster++;
    }
    return Math.min(cluster, end);
  }

  private static int nextFilled(int[] versions, int from, int end) {
    int cluster = from;
    while (cluster < end) {
      int chunkStart = cluster - cluster % CHUNK_CLUSTERS;
      int chunkEnd = Math.min(CLUSTERS, chunkStart + CHUNK_CLUSTERS);
      if (nextPresent(versions, chunkStart, chunkEnd) < chunkEnd) {
        return cluster;
      }
      cluster = chunkEnd;
    }
    return end;
  }

  private void check(ClusterMap map, int[] versions) {
    for (int i = 0; i < 50; i++) {
      int from = random.nextInt(CLUSTERS);
      int end = from + random.nextInt(CLUSTERS - from + 1);
      String range = from + " to " + end;
      assertEquals(nextPresent(versions, from, end), map.nextPresent(from, end), range);
      assertEquals(nextFilled(versions, from, end), map.nextFilled(from, end), range);
    }
  }

  /// Few at a time, so that chunks come and go.
  private void change(ClusterMap map, int[] versions) {
    for (int i = 0; i < 5; i++) {
      int cluster = random.nextInt(CLUSTERS);
      int version = random.nextBoolean() ? ClusterMap.ABSENT : ClusterMap.ofEntry(cluster);
      assertEquals(versions[cluster], map.put(cluster, version));
      versions[cluster] = version;
      int gone = nextPresent(versions, random.nextInt(CLUSTERS), CLUSTERS - 1);
      assertEquals(versions[gone], map.remove(gone));
      versions[gone] = ClusterMap.ABSENT;
    }
  }

  @Test
  void emptyOneHasNothingToSkipTo() {
    ClusterMap map = new ClusterMap(CLUSTERS);
    assertEquals(CLUSTERS, map.nextPresent(0, CLUSTERS));
    assertEquals(CLUSTERS, map.nextFilled(0, CLUSTERS));
    assertEquals(7, map.nextFilled(7, 7));
  }

  @Test
  void nextOneIsFoundWhereverChunksComeAndGo() {
    ClusterMap map = new ClusterMap(CLUSTERS);
    int[] versions = new int[CLUSTERS];
    for (int round = 0; round < 200; round++) {
      change(map, versions);
      check(map, versions);
    }
  }

  @Test
  void absorbedChunksAreFoundInTheirNewPlaceOnly() {
    ClusterMap older = new ClusterMap(CLUSTERS);
    ClusterMap newer = new ClusterMap(CLUSTERS);
    int[] versions = new int[CLUSTERS];
    for (int cluster : new int[] {0, 1023, 70_000, CLUSTERS - 1}) {
      newer.put(cluster, ClusterMap.ZERO);
      versions[cluster] = ClusterMap.ZERO;
    }
    older.put(1, ClusterMap.LOST);
    versions[1] = ClusterMap.LOST;
    older.absorb(newer);
    check(older, versions);
    check(newer, new int[CLUSTERS]);
  }

  @Test
  void drainedOneIsEmpty() {
    ClusterMap map = new ClusterMap(CLUSTERS);
    map.put(70_000, ClusterMap.ofEntry(3));
    map.drainEntries((entries, count) -> assertEquals(3, entries[0]));
    check(map, new int[CLUSTERS]);
    map.put(CLUSTERS - 1, ClusterMap.ZERO);
    assertEquals(CLUSTERS - 1, map.nextPresent(0, CLUSTERS));
  }
}
