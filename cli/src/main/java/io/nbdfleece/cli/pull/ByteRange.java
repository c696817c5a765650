// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

/// A stretch of an export.
///
/// @param offsetBytes at least 0
/// @param lengthBytes at least 1
record ByteRange(long offsetBytes, long lengthBytes) {
  ByteRange {
    if (offsetBytes < 0 || lengthBytes < 1 || lengthBytes > Long.MAX_VALUE - offsetBytes) {
      throw new IllegalArgumentException(
          "range: offset="
              + offsetBytes
              + " length="
              + lengthBytes
              + " (expected: offset >= 0, length >= 1, end < 2^63)");
    }
  }

  long endBytes() {
    return offsetBytes + lengthBytes;
  }
}
