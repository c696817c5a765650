// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/// The time from one snapshot of a disk to the next, and the snapshot that began it. Guarded by the
/// hook's lock.
final class Epoch {
  final SnapshotTerms terms;

  /// P(k): the versions preserved in this epoch.
  final ClusterMap preserved;

  /// The parts preserved in this epoch. Where there is a whole version, too, the part comes first.
  final PartMap parts;

  /// Clusters that are never preserved for the snapshot again: those that its client has released,
  /// and those outside.
  final RoaringBitmap released;

  /// Clusters that it never was about.
  final OutsideClusters outside;

  /// Released bytes that do not make up a whole cluster yet.
  final ByteRangeSet releasedPartly = new ByteRangeSet();

  /// Clusters that count in its quota, if it has one, each once.
  int chargedClusters;

  @Nullable Epoch older;
  @Nullable Epoch newer;

  /// Why the snapshot can be read no more; set once (I5, I7).
  @Nullable String endedBecause;

  /// Whether it ended by a failure rather than by a release.
  boolean broken;

  Epoch(SnapshotTerms terms, OutsideClusters outside, int clusterCount, PartBudget budget) {
    this.terms = terms;
    this.outside = outside;
    this.released = outside.clusters().clone();
    this.preserved = new ClusterMap(clusterCount);
    this.parts = new PartMap(clusterCount, budget);
  }

  boolean hasEnded() {
    return endedBecause != null;
  }
}
