// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver.CopyBeforeWrite;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The snapshot that a copy-before-write node stands for. It is called as the node.
final class CopierSnapshot {
  private CopierSnapshot() {}

  /* Clients may discard: an export of it that is not writable offers no TRIM anyhow, and one that
   * is writable has no other use. QEMU refuses reads outside of the bitmap, so this does. */
  static SnapshotRequest request(Node copier) {
    if (!(copier.driver() instanceof CopyBeforeWrite options)) {
      throw new IllegalArgumentException(copier + " (expected: copy-before-write)");
    }
    Increment increment =
        options
            .bitmap()
            .map(
                bitmap ->
                    new Increment(
                        Optional.empty(),
                        Optional.of(bitmap.name()),
                        Map.of(),
                        Optional.empty(),
                        Outside.ERROR))
            .orElse(Increment.NONE);
    return new SnapshotRequest(
        List.of(copier.disk()),
        Optional.of(copier.name()),
        SnapshotRequest.Access.DISCARD,
        options.onCbwError(),
        options.cbwTimeout(),
        increment,
        SnapshotRequest.Lifetime.UNTIL_RELEASED);
  }
}
