// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotRequest.Bitmaps;
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
   * is writable has no other use. QEMU refuses reads outside of the bitmap, so this does; and it
   * leaves the bitmap free: tools clear it once the snapshot is there. */
  static SnapshotRequest request(Node copier) {
    if (!(copier.driver() instanceof CopyBeforeWrite options)) {
      throw new IllegalArgumentException(copier + " (expected: copy-before-write)");
    }
    Optional<String> since = options.bitmap().map(NodeSpec.Bitmap::name);
    Increment increment =
        new Increment(
            Optional.empty(),
            since,
            Map.of(),
            Optional.empty(),
            since.isPresent() ? Outside.ERROR : Outside.DATA,
            Bitmaps.FREE);
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
