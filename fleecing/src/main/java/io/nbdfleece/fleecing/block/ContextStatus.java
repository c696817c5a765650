// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.util.List;

/// What one metadata context says of a range of a node.
///
/// @param context its name, e.g. `qemu:dirty-bitmap:b0`
/// @param stretches consecutive, at least one
public record ContextStatus(String context, List<Stretch> stretches) {

  public ContextStatus {
    stretches = List.copyOf(stretches);
    if (stretches.isEmpty()) {
      throw new IllegalArgumentException(
          "stretches: none (expected: at least one), context=" + context);
    }
  }

  /// A part of the range with one status.
  ///
  /// @param lengthBytes at least 1
  /// @param flags what the context defines
  public record Stretch(long lengthBytes, long flags) {
    public Stretch {
      if (lengthBytes < 1) {
        throw new IllegalArgumentException("lengthBytes: " + lengthBytes + " (expected: >= 1)");
      }
    }
  }
}
