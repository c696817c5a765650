// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import java.util.OptionalInt;

/// A stretch of a disk that has changed.
///
/// @param offsetBytes at least 0
/// @param lengthBytes at least 1
/// @param crc32c of its content; empty = it is all zeroes now
public record DeltaExtent(long offsetBytes, long lengthBytes, OptionalInt crc32c) {
  public DeltaExtent {
    if (offsetBytes < 0 || lengthBytes < 1 || lengthBytes > Long.MAX_VALUE - offsetBytes) {
      throw new IllegalArgumentException(
          "extent: offset="
              + offsetBytes
              + " length="
              + lengthBytes
              + " (expected: offset >= 0, length >= 1, end < 2^63)");
    }
  }

  public boolean isZero() {
    return crc32c.isEmpty();
  }

  public long endBytes() {
    return offsetBytes + lengthBytes;
  }
}
