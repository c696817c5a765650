// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A cluster that is being preserved, or a part of it. There is one at a time per cluster; every
/// write to what of the cluster is not preserved yet waits for it.
///
/// It counts only while the hook knows it (it stands in the hook's table of copies). When the last
/// snapshot that needed the cluster ends, or a deadline passes, the hook forgets it: the cluster
/// may change from then on, so what is read of it is worthless and is thrown away.
final class ClusterCopy {
  final int cluster;

  /// What of it is copied, all or a part; as in [ClusterGeometry].
  final int blocks;

  final long startedNanos;

  /// The part that had been preserved in the newest epoch before. While the copy is of the whole
  /// cluster, what is read of these blocks is not what the snapshot has to show.
  final @Nullable Part before;

  /// The newest epoch when the copy began, if some epoch had a part of the cluster then. Its blocks
  /// may change while the copy is made, which is nothing to those who have that part.
  final @Nullable Epoch validFor;

  /// Whether the part from before is pinned in the store. Whoever fills the copy owns this and the
  /// next.
  boolean beforeIsPinned;

  /// Whether the copy contains it.
  boolean containsBefore;

  /// The blocks that writes wait for. Guarded by the hook's lock.
  int awaitedBlocks;

  /// Guarded by the hook's lock.
  final List<GuestWrite> waiters = new ArrayList<>(2);

  ClusterCopy(
      int cluster, int blocks, @Nullable Part before, @Nullable Epoch validFor, long startedNanos) {
    this.cluster = cluster;
    this.blocks = blocks;
    this.before = before;
    this.validFor = validFor;
    this.startedNanos = startedNanos;
  }
}
