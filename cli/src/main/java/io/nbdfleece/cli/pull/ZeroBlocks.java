// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.nio.ByteBuffer;

/// Finds zeroes in data that the server did not report as zero.
final class ZeroBlocks {
  /// The block of nearly every file system: a smaller hole saves nothing.
  static final int BLOCK_BYTES = 4096;

  private static final ByteBuffer ZEROES =
      ByteBuffer.allocateDirect(BLOCK_BYTES).asReadOnlyBuffer();

  private ZeroBlocks() {}

  /// Whether `lengthBytes` (at most [#BLOCK_BYTES]) bytes from `index` are all zero.
  static boolean isZero(ByteBuffer data, int index, int lengthBytes) {
    // Most blocks show their colour in the first byte; the comparison is for the others.
    return data.get(index) == 0
        && data.slice(index, lengthBytes).mismatch(ZEROES.slice(0, lengthBytes)) < 0;
  }

  /// The end of the run of blocks that are all zero, or all not zero, that starts at `index`.
  /// Blocks are counted from `index`, the last one may be short.
  static int runEnd(ByteBuffer data, int index, boolean zero) {
    int end = index;
    while (end < data.limit()) {
      int lengthBytes = Math.min(BLOCK_BYTES, data.limit() - end);
      if (isZero(data, end, lengthBytes) != zero) {
        break;
      }
      end += lengthBytes;
    }
    return end;
  }
}
