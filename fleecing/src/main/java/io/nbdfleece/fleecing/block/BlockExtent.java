// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.util.List;

/// A stretch of a node in one state.
///
/// @param lengthBytes at least 1
public record BlockExtent(long lengthBytes, State state) {

  public BlockExtent {
    if (lengthBytes < 1) {
      throw new IllegalArgumentException("lengthBytes: " + lengthBytes + " (expected: >= 1)");
    }
  }

  /// Appends, joining with the last one when the state is the same.
  public static void append(List<BlockExtent> extents, long lengthBytes, State state) {
    if (lengthBytes <= 0) {
      return;
    }
    if (!extents.isEmpty() && extents.getLast().state == state) {
      extents.set(
          extents.size() - 1, new BlockExtent(extents.getLast().lengthBytes + lengthBytes, state));
    } else {
      extents.add(new BlockExtent(lengthBytes, state));
    }
  }

  /// What is known of a stretch.
  public enum State {
    /// Has to be read to know.
    DATA,
    /// Reads as zeroes; its space is allocated.
    ZERO,
    /// Reads as zeroes and takes no space.
    HOLE
  }
}
