// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.List;

/// A stretch of a frozen view whose content comes from one source.
///
/// @param lengthBytes at least 1
public record FrozenExtent(long lengthBytes, Source source) {

  public FrozenExtent {
    if (lengthBytes < 1) {
      throw new IllegalArgumentException("lengthBytes: " + lengthBytes + " (expected: >= 1)");
    }
  }

  /// Appends, joining with the last one when the source is the same.
  static void append(List<FrozenExtent> extents, long lengthBytes, Source source) {
    FrozenExtent last = extents.isEmpty() ? null : extents.getLast();
    if (last != null && last.source == source) {
      extents.set(extents.size() - 1, new FrozenExtent(last.lengthBytes + lengthBytes, source));
    } else {
      extents.add(new FrozenExtent(lengthBytes, source));
    }
  }

  /// Where the content is.
  public enum Source {
    /// Unchanged on the disk.
    DISK,
    /// Preserved, in RAM.
    RAM,
    /// Preserved, in the disk tier.
    SPILLED,
    /// Preserved, and all zeroes.
    ZERO,
    /// Nowhere: the client has released it.
    RELEASED,
    /// Nowhere: outside of what the snapshot is about.
    OUTSIDE,
    /// Nowhere: the disk could not be read when it was overwritten.
    LOST
  }
}
