// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32C;

/// The checksum of each entry of the disk tier: four bytes an entry, allocated in chunks.
///
/// Not thread-safe: guarded by the store's lock.
final class Checksums {
  private static final int CHUNK_BITS = 14;
  private static final int CHUNK_MASK = (1 << CHUNK_BITS) - 1;
  private static final int[] NO_CHUNK = {};

  private int[][] chunks = {};

  static int of(ByteBuffer bytes) {
    CRC32C checksum = new CRC32C();
    checksum.update(bytes);
    return (int) checksum.getValue();
  }

  void set(int entry, int checksum) {
    int chunk = entry >>> CHUNK_BITS;
    if (chunk >= chunks.length) {
      int before = chunks.length;
      chunks = Arrays.copyOf(chunks, Math.max(chunk + 1, before * 2));
      Arrays.fill(chunks, before, chunks.length, NO_CHUNK);
    }
    if (chunks[chunk].length == 0) {
      chunks[chunk] = new int[1 << CHUNK_BITS];
    }
    chunks[chunk][entry & CHUNK_MASK] = checksum;
  }

  int get(int entry) {
    return chunks[entry >>> CHUNK_BITS][entry & CHUNK_MASK];
  }
}
