// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

/// A stretch of an export with one status (NBD specification, "NBD_REPLY_TYPE_BLOCK_STATUS").
///
/// @param lengthBytes at least 1
/// @param flags what the context defines; for `base:allocation` a combination of [#HOLE] and
///   [#ZERO]. Only 32 bits travel without extended headers
public record Extent(long lengthBytes, long flags) {
  /// `base:allocation`, NBD_STATE_HOLE: no space is allocated.
  public static final int HOLE = 1;

  /// `base:allocation`, NBD_STATE_ZERO: reads as zeroes.
  public static final int ZERO = 2;

  public Extent {
    if (lengthBytes < 1) {
      throw new IllegalArgumentException("lengthBytes: " + lengthBytes + " (expected: >= 1)");
    }
  }
}
