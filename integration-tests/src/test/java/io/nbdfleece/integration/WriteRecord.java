// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

/// One write as its client saw it.
///
/// @param number unique over all writers, at least 1
/// @param firstBlock in units of [Stamp#BLOCK_BYTES]
/// @param sentNanos just before the request was sent, on the clock that all records share
/// @param ackedNanos just after its answer came; `Long.MAX_VALUE` if none came
record WriteRecord(
    long number,
    int disk,
    int firstBlock,
    int blockCount,
    Content content,
    long sentNanos,
    long ackedNanos) {

  /// What the blocks hold afterwards.
  enum Content {
    STAMPS,
    ZEROES
  }

  /// Whether this write had ended before the other began.
  boolean isBefore(WriteRecord other) {
    return ackedNanos < other.sentNanos;
  }
}
