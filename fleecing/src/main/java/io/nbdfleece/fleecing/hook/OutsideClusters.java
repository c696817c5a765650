// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import org.roaringbitmap.IntConsumer;
import org.roaringbitmap.RoaringBitmap;
import org.roaringbitmap.RoaringBitmapWriter;

/// The clusters of a disk that a snapshot keeps nothing of, because no granule that its reader
/// wants touches them. Immutable; without clusters for a snapshot of everything.
///
/// @param clusters not to be changed
/// @param reads what reading them gives; DATA only when there are none
record OutsideClusters(RoaringBitmap clusters, Outside reads) {

  static OutsideClusters none() {
    return new OutsideClusters(new RoaringBitmap(), Outside.DATA);
  }

  /// Throws IllegalArgumentException when the granules are of a disk of another size.
  static OutsideClusters of(SnapshotScope scope, ClusterGeometry geometry) {
    if (scope.dirty().isEmpty() || scope.outside() == Outside.DATA) {
      return none();
    }
    GranuleSet dirty = scope.dirty().get();
    if (dirty.sizeBytes() != geometry.sizeBytes()) {
      throw new IllegalArgumentException(
          "bitmap of a disk of "
              + dirty.sizeBytes()
              + " bytes (expected: "
              + geometry.sizeBytes()
              + ")");
    }
    RoaringBitmap outside =
        RoaringBitmap.flip(touched(dirty, geometry), 0L, geometry.clusterCount());
    outside.runOptimize();
    return new OutsideClusters(outside, scope.outside());
  }

  /// The clusters that some dirty granule touches.
  private static RoaringBitmap touched(GranuleSet dirty, ClusterGeometry geometry) {
    int shift =
        Integer.numberOfTrailingZeros(geometry.clusterBytes())
            - Integer.numberOfTrailingZeros(dirty.granularityBytes());
    RoaringBitmap granules = dirty.granules();
    if (shift == 0) {
      return granules;
    }
    if (shift > 0) {
      RoaringBitmapWriter<RoaringBitmap> writer = RoaringBitmapWriter.writer().get();
      granules.forEach(new Joining(shift, writer));
      return writer.get();
    }
    RoaringBitmap clusters = new RoaringBitmap();
    long next = granules.isEmpty() ? -1 : granules.nextValue(0);
    while (next >= 0) {
      long end = granules.nextAbsentValue((int) next);
      clusters.add(next << -shift, Math.min(end << -shift, geometry.clusterCount()));
      next = granules.nextValue((int) end);
    }
    return clusters;
  }

  boolean contains(int cluster) {
    return clusters.contains(cluster);
  }

  /// The first cluster from `from` on, before `end`, that is one of these; `end` if there is none.
  int nextOutside(int from, int end) {
    long next = from < end ? clusters.nextValue(from) : end;
    return next < 0 ? end : (int) Math.min(end, next);
  }

  /// The first cluster from `from` on, before `end`, that is none of these; `end` if there is none.
  int nextInside(int from, int end) {
    return from < end ? (int) Math.min(end, clusters.nextAbsentValue(from)) : end;
  }

  int count() {
    return clusters.getCardinality();
  }

  /// Several granules to a cluster, in ascending order.
  private static final class Joining implements IntConsumer {
    private final int shift;
    private final RoaringBitmapWriter<RoaringBitmap> writer;
    private int last = -1;

    Joining(int shift, RoaringBitmapWriter<RoaringBitmap> writer) {
      this.shift = shift;
      this.writer = writer;
    }

    @Override
    public void accept(int granule) {
      int cluster = granule >>> shift;
      if (cluster != last) {
        last = cluster;
        writer.add(cluster);
      }
    }
  }
}
