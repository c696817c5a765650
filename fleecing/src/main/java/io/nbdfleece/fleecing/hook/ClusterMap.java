// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import org.jspecify.annotations.Nullable;

/// A sparse array from cluster to version, 4 bytes a cluster where it is dense, nothing where it is
/// empty. A version is [#ABSENT], [#ZERO], [#LOST], or a store entry plus one.
///
/// Not thread-safe; the hook's lock guards it.
final class ClusterMap {
  /// The cluster is not preserved here.
  static final int ABSENT = 0;

  /// The cluster was all zeroes; nothing is stored.
  static final int ZERO = -1;

  /// The cluster could not be read when it had to be preserved.
  static final int LOST = -2;

  private static final int CHUNK_BITS = 10;
  private static final int CHUNK_CLUSTERS = 1 << CHUNK_BITS;
  private static final int CHUNK_MASK = CHUNK_CLUSTERS - 1;

  private final int[] @Nullable [] chunks;
  private int count;
  private int lostCount;

  ClusterMap(int clusterCount) {
    chunks = new int[(clusterCount + CHUNK_MASK) >>> CHUNK_BITS][];
  }

  static int ofEntry(int entry) {
    return entry + 1;
  }

  static boolean isEntry(int version) {
    return version > 0;
  }

  static int entryOf(int version) {
    return version - 1;
  }

  /// Clusters that are not absent.
  int count() {
    return count;
  }

  /// Clusters that are [#LOST].
  int lostCount() {
    return lostCount;
  }

  int get(int cluster) {
    int[] chunk = chunks[cluster >>> CHUNK_BITS];
    return chunk == null ? ABSENT : chunk[cluster & CHUNK_MASK];
  }

  boolean has(int cluster) {
    return get(cluster) != ABSENT;
  }

  /// Sets, and returns what was there.
  int put(int cluster, int version) {
    int[] chunk = chunks[cluster >>> CHUNK_BITS];
    if (chunk == null) {
      if (version == ABSENT) {
        return ABSENT;
      }
      chunk = new int[CHUNK_CLUSTERS];
      chunks[cluster >>> CHUNK_BITS] = chunk;
    }
    int before = chunk[cluster & CHUNK_MASK];
    chunk[cluster & CHUNK_MASK] = version;
    count += (version == ABSENT ? 0 : 1) - (before == ABSENT ? 0 : 1);
    lostCount += (version == LOST ? 1 : 0) - (before == LOST ? 1 : 0);
    return before;
  }

  int remove(int cluster) {
    return put(cluster, ABSENT);
  }

  /// The first cluster from `from` on, before `end`, that is not absent; `end` if there is none.
  int nextPresent(int from, int end) {
    int cluster = from;
    while (cluster < end) {
      int[] chunk = chunks[cluster >>> CHUNK_BITS];
      int chunkEnd = Math.min(end, (cluster | CHUNK_MASK) + 1);
      if (chunk != null) {
        while (cluster < chunkEnd) {
          if (chunk[cluster & CHUNK_MASK] != ABSENT) {
            return cluster;
          }
          cluster++;
        }
      }
      cluster = chunkEnd;
    }
    return end;
  }

  /// Clusters this map has room for.
  int clusterEnd() {
    return chunks.length << CHUNK_BITS;
  }

  /// Moves every version of `newer` that this map lacks into this map, in whole chunks where it
  /// can; what remains in `newer` afterwards is superseded.
  void absorb(ClusterMap newer) {
    for (int i = 0; i < chunks.length; i++) {
      int[] from = newer.chunks[i];
      if (from == null) {
        continue;
      }
      if (chunks[i] == null) {
        int moved = 0;
        int lost = 0;
        for (int version : from) {
          moved += version == ABSENT ? 0 : 1;
          lost += version == LOST ? 1 : 0;
        }
        chunks[i] = from;
        newer.chunks[i] = null;
        count += moved;
        lostCount += lost;
        newer.count -= moved;
        newer.lostCount -= lost;
        continue;
      }
      int base = i << CHUNK_BITS;
      for (int k = 0; k < CHUNK_CLUSTERS; k++) {
        if (from[k] != ABSENT && !has(base + k)) {
          put(base + k, newer.remove(base + k));
        }
      }
    }
  }

  /// Collects the store entries of all versions.
  void collectEntries(EntryList into) {
    for (int[] chunk : chunks) {
      if (chunk == null) {
        continue;
      }
      for (int version : chunk) {
        if (isEntry(version)) {
          into.add(entryOf(version));
        }
      }
    }
  }
}
