// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import org.jspecify.annotations.Nullable;

/// A sparse array from cluster to [Part], at most one each. The first one of a disk of 16 TiB takes
/// 13 KiB, because a guest's write waits for it; where the map is dense it takes 5 bytes a cluster.
///
/// Not thread-safe; the hook's lock guards it.
final class PartMap implements StoredVersions {
  private static final int CHUNK_BITS = 10;
  private static final int CHUNK_CLUSTERS = 1 << CHUNK_BITS;
  private static final int CHUNK_MASK = CHUNK_CLUSTERS - 1;
  private static final int CHUNK_BYTES = CHUNK_CLUSTERS * (Integer.BYTES + Byte.BYTES);

  /// Chunks that have their places together.
  private static final int SHELF_BITS = 10;

  private static final int SHELF_CHUNKS = 1 << SHELF_BITS;
  private static final int SHELF_MASK = SHELF_CHUNKS - 1;

  private final PartBudget budget;
  private final @Nullable Shelf[] shelves;
  private int count;

  PartMap(int clusterCount, PartBudget budget) {
    this.budget = budget;
    int chunkCount = (clusterCount + CHUNK_MASK) >>> CHUNK_BITS;
    shelves = new Shelf[(chunkCount + SHELF_MASK) >>> SHELF_BITS];
  }

  private static final class Shelf {
    final @Nullable Chunk[] chunks = new Chunk[SHELF_CHUNKS];

    /// A bit for each chunk that is there.
    final long[] filled = new long[SHELF_CHUNKS / Long.SIZE];

    void set(int at, @Nullable Chunk chunk) {
      chunks[at] = chunk;
      long bit = 1L << at;
      if (chunk == null) {
        filled[at / Long.SIZE] &= ~bit;
      } else {
        filled[at / Long.SIZE] |= bit;
      }
    }

    /// The first chunk from `at` on, or SHELF_CHUNKS.
    int next(int at) {
      long wanted = -1L << at;
      for (int i = at / Long.SIZE; i < filled.length; i++) {
        long bits = filled[i] & wanted;
        if (bits != 0) {
          return i * Long.SIZE + Long.numberOfTrailingZeros(bits);
        }
        wanted = -1;
      }
      return SHELF_CHUNKS;
    }
  }

  /// Versions, ABSENT where there is no part, and the numbers of the first and last block, four
  /// bits each.
  private static final class Chunk {
    final int[] versions = new int[CHUNK_CLUSTERS];
    final byte[] stretches = new byte[CHUNK_CLUSTERS];
    int count;

    void set(int at, int version, byte stretch) {
      versions[at] = version;
      stretches[at] = stretch;
    }
  }

  private static byte stretch(int blocks) {
    int first = Integer.numberOfTrailingZeros(blocks);
    int last = Integer.SIZE - 1 - Integer.numberOfLeadingZeros(blocks);
    return (byte) (first << 4 | last);
  }

  private static int blocks(byte stretch) {
    int first = stretch >> 4 & 15;
    int last = stretch & 15;
    return (-1 >>> (Integer.SIZE - 1 - (last - first))) << first;
  }

  @Override
  public int count() {
    return count;
  }

  /// Whether the budget has room for a part of this cluster.
  boolean hasRoom(int cluster) {
    return budget.hasRoom() || chunk(cluster >>> CHUNK_BITS) != null;
  }

  boolean has(int cluster) {
    return version(cluster) != ClusterMap.ABSENT;
  }

  private int version(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    return chunk == null ? ClusterMap.ABSENT : chunk.versions[cluster & CHUNK_MASK];
  }

  /// The blocks that there are of a cluster; 0 if none.
  int blocks(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    int at = cluster & CHUNK_MASK;
    return chunk == null || chunk.versions[at] == ClusterMap.ABSENT
        ? 0
        : blocks(chunk.stretches[at]);
  }

  @Nullable Part get(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    int at = cluster & CHUNK_MASK;
    return chunk == null || chunk.versions[at] == ClusterMap.ABSENT
        ? null
        : new Part(chunk.versions[at], blocks(chunk.stretches[at]));
  }

  private @Nullable Chunk chunk(int index) {
    Shelf shelf = shelves[index >>> SHELF_BITS];
    return shelf == null ? null : shelf.chunks[index & SHELF_MASK];
  }

  private void setChunk(int index, @Nullable Chunk chunk) {
    Shelf shelf = shelves[index >>> SHELF_BITS];
    if (shelf == null) {
      shelf = new Shelf();
      shelves[index >>> SHELF_BITS] = shelf;
    }
    shelf.set(index & SHELF_MASK, chunk);
  }

  /// Sets the part of a cluster, instead of what there was.
  void put(int cluster, Part part) {
    Chunk chunk = chunk(cluster >>> CHUNK_BITS);
    if (chunk == null) {
      chunk = new Chunk();
      setChunk(cluster >>> CHUNK_BITS, chunk);
      budget.take(CHUNK_BYTES);
    }
    int at = cluster & CHUNK_MASK;
    if (chunk.versions[at] == ClusterMap.ABSENT) {
      chunk.count++;
      count++;
    }
    chunk.set(at, part.version(), stretch(part.blocks()));
  }

  /// @return the version that was there
  int remove(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    int at = cluster & CHUNK_MASK;
    if (chunk == null || chunk.versions[at] == ClusterMap.ABSENT) {
      return ClusterMap.ABSENT;
    }
    int version = chunk.versions[at];
    chunk.versions[at] = ClusterMap.ABSENT;
    count--;
    if (--chunk.count == 0) {
      setChunk(cluster >>> CHUNK_BITS, null); // so that a walk skips it
      budget.giveBack(CHUNK_BYTES);
    }
    return version;
  }

  /// The first cluster from `from` on, before `end`, of which there is a part; `end` if there is
  /// none.
  int nextPresent(int from, int end) {
    int cluster = nextFilled(from, end);
    while (cluster < end) {
      Chunk chunk = chunk(cluster >>> CHUNK_BITS);
      int chunkEnd = ClusterMap.windowEnd(cluster, end);
      while (chunk != null && cluster < chunkEnd) {
        if (chunk.versions[cluster & CHUNK_MASK] != ClusterMap.ABSENT) {
          return cluster;
        }
        cluster++;
      }
      cluster = nextFilled(chunkEnd, end);
    }
    return end;
  }

  /// The first cluster from `from` on, before `end`, in whose chunk there are any; `end` if there
  /// is none.
  int nextFilled(int from, int end) {
    if (count == 0 || from >= end) {
      return end;
    }
    int index = from >>> CHUNK_BITS;
    for (int i = index >>> SHELF_BITS; i <= (end - 1) >>> CHUNK_BITS >>> SHELF_BITS; i++) {
      Shelf shelf = shelves[i];
      int next = shelf == null ? SHELF_CHUNKS : shelf.next(index & SHELF_MASK);
      if (next < SHELF_CHUNKS) {
        return Math.min(end, Math.max(from, ((i << SHELF_BITS) + next) << CHUNK_BITS));
      }
      index = 0;
    }
    return end;
  }

  /// Moves every part of `newer` here. No cluster may have one in both.
  void absorb(PartMap newer) {
    for (int i = 0; i < shelves.length; i++) {
      Shelf from = newer.shelves[i];
      newer.shelves[i] = null;
      if (shelves[i] == null) {
        shelves[i] = from;
      } else if (from != null) {
        for (int k = 0; k < SHELF_CHUNKS; k++) {
          Chunk chunk = from.chunks[k];
          if (chunk != null) {
            absorb((i << SHELF_BITS) + k, chunk);
          }
        }
      }
    }
    count += newer.count;
    newer.count = 0;
  }

  private void absorb(int index, Chunk newer) {
    Chunk chunk = chunk(index);
    if (chunk == null) {
      setChunk(index, newer);
      return;
    }
    for (int at = 0; at < CHUNK_CLUSTERS; at++) {
      if (newer.versions[at] != ClusterMap.ABSENT) {
        chunk.set(at, newer.versions[at], newer.stretches[at]);
      }
    }
    chunk.count += newer.count;
    budget.giveBack(CHUNK_BYTES);
  }

  @Override
  public void drainEntries(EntrySink sink) {
    int[] entries = new int[CHUNK_CLUSTERS];
    for (int i = 0; i < shelves.length; i++) {
      Shelf shelf = shelves[i];
      shelves[i] = null;
      for (int k = 0; shelf != null && k < SHELF_CHUNKS; k++) {
        Chunk chunk = shelf.chunks[k];
        int found = 0;
        for (int at = 0; chunk != null && at < CHUNK_CLUSTERS; at++) {
          if (ClusterMap.isEntry(chunk.versions[at])) {
            entries[found++] = ClusterMap.entryOf(chunk.versions[at]);
          }
        }
        if (found > 0) {
          sink.accept(entries, found);
        }
        budget.giveBack(chunk == null ? 0 : CHUNK_BYTES);
      }
    }
    count = 0;
  }
}
