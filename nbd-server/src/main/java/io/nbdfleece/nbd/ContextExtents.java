// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.util.List;

/// What one metadata context says of a range: consecutive extents, at least one.
public record ContextExtents(String context, List<Extent> extents) {
  public ContextExtents {
    extents = List.copyOf(extents);
    if (extents.isEmpty()) {
      throw new IllegalArgumentException(
          "extents: none (expected: at least one), context=" + context);
    }
  }
}
