// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import org.jspecify.annotations.Nullable;

/// A sparse array from cluster to version, 4 bytes a cluster where it is dense, nothing where it is
/// empty. A version is [#ABSENT], [#ZERO], [#LOST], [#DAMAGED], or a store entry plus one.
///
/// Not thread-safe; the hook's lock guards it.
final class ClusterMap implements StoredVersions {
  /// The cluster is not preserved here.
  static final int ABSENT = 0;

  /// The cluster was all zeroes; nothing is stored.
  static final int ZERO = -1;

  /// The cluster could not be read when it had to be preserved.
  static final int LOST = -2;

  /// The cluster was preserved, and the store cannot read it any more.
  static final int DAMAGED = -5;

  private static final int CHUNK_BITS = 10;
  private static final int CHUNK_CLUSTERS = 1 << CHUNK_BITS;
  private static final int CHUNK_MASK = CHUNK_CLUSTERS - 1;

  private final int[] @Nullable [] chunks;
  private final short[] presentInChunk;

  /// A bit for each chunk that is there: a disk of 16 TiB has a quarter of a million.
  private final long[] filled;

  private int count;

  ClusterMap(int clusterCount) {
    chunks = new int[(clusterCount + CHUNK_MASK) >>> CHUNK_BITS][];
    presentInChunk = new short[chunks.length];
    filled = new long[(chunks.length + Long.SIZE - 1) / Long.SIZE];
  }

  static int ofEntry(int entry) {
    return entry + 1;
  }

  static boolean isEntry(int version) {
    return version > 0;
  }

  /// Whether nobody has the cluster's content any more.
  static boolean isLost(int version) {
    return version == LOST || version == DAMAGED;
  }

  static int entryOf(int version) {
    return version - 1;
  }

  /// Clusters that are not absent.
  @Override
  public int count() {
    return count;
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
      setChunk(cluster >>> CHUNK_BITS, chunk);
    }
    int before = chunk[cluster & CHUNK_MASK];
    chunk[cluster & CHUNK_MASK] = version;
    int change = (version == ABSENT ? 0 : 1) - (before == ABSENT ? 0 : 1);
    count += change;
    presentInChunk[cluster >>> CHUNK_BITS] += (short) change;
    if (presentInChunk[cluster >>> CHUNK_BITS] == 0) {
      setChunk(cluster >>> CHUNK_BITS, null); // so that a walk skips it
    }
    return before;
  }

  private void setChunk(int index, int @Nullable [] chunk) {
    chunks[index] = chunk;
    long bit = 1L << index;
    if (chunk == null) {
      filled[index / Long.SIZE] &= ~bit;
    } else {
      filled[index / Long.SIZE] |= bit;
    }
  }

  int remove(int cluster) {
    return put(cluster, ABSENT);
  }

  /// The first cluster from `from` on, before `end`, that is not absent; `end` if there is none.
  int nextPresent(int from, int end) {
    int cluster = nextFilled(from, end);
    while (cluster < end) {
      int[] chunk = chunks[cluster >>> CHUNK_BITS];
      int chunkEnd = windowEnd(cluster, end);
      if (chunk != null) {
        while (cluster < chunkEnd) {
          if (chunk[cluster & CHUNK_MASK] != ABSENT) {
            return cluster;
          }
          cluster++;
        }
      }
      cluster = nextFilled(chunkEnd, end);
    }
    return end;
  }

  /// The first cluster from `from` on, before `end`, in whose chunk any are not absent; `end` if
  /// there is none. Skips 64 chunks at a time.
  int nextFilled(int from, int end) {
    if (from >= end) {
      return end;
    }
    int first = from >>> CHUNK_BITS;
    int last = (end - 1) >>> CHUNK_BITS;
    long wanted = -1L << first;
    for (int i = first / Long.SIZE; i <= last / Long.SIZE; i++) {
      long bits = filled[i] & wanted;
      if (bits != 0) {
        int found = i * Long.SIZE + Long.numberOfTrailingZeros(bits);
        return found > last ? end : Math.max(from, found << CHUNK_BITS);
      }
      wanted = -1;
    }
    return end;
  }

  /// The end of the chunk of a cluster, or `end` if that comes first: what to look at in one go.
  static int windowEnd(int cluster, int end) {
    return Math.min(end, (cluster | CHUNK_MASK) + 1);
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
        setChunk(i, from);
        presentInChunk[i] = newer.presentInChunk[i];
        count += presentInChunk[i];
        newer.setChunk(i, null);
        newer.count -= newer.presentInChunk[i];
        newer.presentInChunk[i] = 0;
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

  @Override
  public void drainEntries(EntrySink sink) {
    int[] entries = new int[CHUNK_CLUSTERS];
    for (int i = 0; i < chunks.length; i++) {
      int[] chunk = chunks[i];
      if (chunk == null) {
        continue;
      }
      int found = 0;
      for (int version : chunk) {
        if (isEntry(version)) {
          entries[found++] = entryOf(version);
        }
      }
      setChunk(i, null);
      presentInChunk[i] = 0;
      if (found > 0) {
        sink.accept(entries, found);
      }
    }
    count = 0;
  }
}
