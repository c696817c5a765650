// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;

/// A cluster that is being preserved. There is one at a time per cluster; every write to the
/// cluster waits for it.
///
/// It counts only while the hook knows it (it stands in the hook's table of copies). When the last
/// snapshot that needed the cluster ends, or a deadline passes, the hook forgets it: the cluster
/// may change from then on, so what is read of it is worthless and is thrown away.
final class ClusterCopy {
  final int cluster;
  final long startedNanos;

  /// Guarded by the hook's lock.
  final List<GuestWrite> waiters = new ArrayList<>(2);

  ClusterCopy(int cluster, long startedNanos) {
    this.cluster = cluster;
    this.startedNanos = startedNanos;
  }
}
