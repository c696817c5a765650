// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import org.jspecify.annotations.Nullable;

/// A sparse array from cluster to [Part], at most one each. The first of a disk of 16 TiB takes 20
/// KiB, because a guest's write waits for it; where it is dense it takes 8 bytes a cluster.
///
/// Not thread-safe; the hook's lock guards it.
final class PartMap implements StoredVersions {
  private static final int CHUNK_BITS = 10;
  private static final int CHUNK_CLUSTERS = 1 << CHUNK_BITS;
  private static final int CHUNK_MASK = CHUNK_CLUSTERS - 1;

  /// Chunks that have their places together.
  private static final int SHELF_BITS = 10;

  private static final int SHELF_CHUNKS = 1 << SHELF_BITS;
  private static final int SHELF_MASK = SHELF_CHUNKS - 1;

  private final @Nullable Shelf[] shelves;
  private int count;

  PartMap(int clusterCount) {
    int chunkCount = (clusterCount + CHUNK_MASK) >>> CHUNK_BITS;
    shelves = new Shelf[(chunkCount + SHELF_MASK) >>> SHELF_BITS];
  }

  private static final class Shelf {
    final @Nullable Chunk[] chunks = new Chunk[SHELF_CHUNKS];
  }

  private static final class Chunk {
    final int[] versions = new int[CHUNK_CLUSTERS];
    final int[] blocks = new int[CHUNK_CLUSTERS];
    int count;
  }

  @Override
  public int count() {
    return count;
  }

  boolean has(int cluster) {
    return blocks(cluster) != 0;
  }

  /// The blocks that there are of a cluster; 0 if none.
  int blocks(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    return chunk == null ? 0 : chunk.blocks[cluster & CHUNK_MASK];
  }

  @Nullable Part get(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    int blocks = chunk == null ? 0 : chunk.blocks[cluster & CHUNK_MASK];
    return chunk == null || blocks == 0
        ? null
        : new Part(chunk.versions[cluster & CHUNK_MASK], blocks);
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
    shelf.chunks[index & SHELF_MASK] = chunk;
  }

  /// Sets the part of a cluster, instead of what there was.
  void put(int cluster, Part part) {
    Chunk chunk = chunk(cluster >>> CHUNK_BITS);
    if (chunk == null) {
      chunk = new Chunk();
      setChunk(cluster >>> CHUNK_BITS, chunk);
    }
    int at = cluster & CHUNK_MASK;
    if (chunk.blocks[at] == 0) {
      chunk.count++;
      count++;
    }
    chunk.versions[at] = part.version();
    chunk.blocks[at] = part.blocks();
  }

  /// @return the version that was there
  int remove(int cluster) {
    Chunk chunk = count == 0 ? null : chunk(cluster >>> CHUNK_BITS);
    int at = cluster & CHUNK_MASK;
    if (chunk == null || chunk.blocks[at] == 0) {
      return ClusterMap.ABSENT;
    }
    int version = chunk.versions[at];
    chunk.blocks[at] = 0;
    chunk.versions[at] = ClusterMap.ABSENT;
    count--;
    if (--chunk.count == 0) {
      setChunk(cluster >>> CHUNK_BITS, null); // so that a walk skips it
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
        if (chunk.blocks[cluster & CHUNK_MASK] != 0) {
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
    int last = (end - 1) >>> CHUNK_BITS;
    for (int index = from >>> CHUNK_BITS; index <= last; index++) {
      if (shelves[index >>> SHELF_BITS] == null) {
        index |= SHELF_MASK; // all of them
      } else if (chunk(index) != null) {
        return Math.max(from, index << CHUNK_BITS);
      }
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
    for (int k = 0; k < CHUNK_CLUSTERS; k++) {
      if (newer.blocks[k] != 0) {
        chunk.blocks[k] = newer.blocks[k];
        chunk.versions[k] = newer.versions[k];
      }
    }
    chunk.count += newer.count;
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
        for (int m = 0; chunk != null && m < CHUNK_CLUSTERS; m++) {
          if (ClusterMap.isEntry(chunk.versions[m])) {
            entries[found++] = ClusterMap.entryOf(chunk.versions[m]);
          }
        }
        if (found > 0) {
          sink.accept(entries, found);
        }
      }
    }
    count = 0;
  }
}
