// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Recognises clusters without content.
final class Zeroes {
  private static final int BLOCK_BYTES = 64 << 10;
  private static final ByteBuffer ZEROES =
      ByteBuffer.allocateDirect(BLOCK_BYTES).asReadOnlyBuffer();

  private Zeroes() {}

  /// Whether all bytes from position to limit are zero. Cheap when they are not.
  static boolean only(ByteBuffer bytes) {
    int start = bytes.position();
    int end = bytes.limit();
    if (end - start >= Long.BYTES
        && (bytes.order(ByteOrder.nativeOrder()).getLong(start)
                | bytes.getLong(end - Long.BYTES)
                | bytes.getLong(start + (end - start) / 2 - Integer.BYTES))
            != 0) {
      return false;
    }
    while (start < end) {
      int lengthBytes = Math.min(BLOCK_BYTES, end - start);
      if (bytes.slice(start, lengthBytes).mismatch(ZEROES.slice(0, lengthBytes)) != -1) {
        return false;
      }
      start += lengthBytes;
    }
    return true;
  }

  /// Writes zeroes from position to limit.
  static void fill(ByteBuffer bytes) {
    for (int at = bytes.position(); at < bytes.limit(); at += BLOCK_BYTES) {
      bytes.put(at, ZEROES, 0, Math.min(BLOCK_BYTES, bytes.limit() - at));
    }
  }
}
