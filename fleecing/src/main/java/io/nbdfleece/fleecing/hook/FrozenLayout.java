// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// One walk over a range of a frozen view: where its content comes from. Under the lock a slice at
/// a time, so that no guest write waits long. Used once, by one thread.
final class FrozenLayout {
  /// Runs looked at in one walk; an answer that needs more is short.
  private static final int LOOKED_AT_MAX = 16_384;

  /// Clusters skipped over in one go under the lock.
  static final int SLICE_CLUSTERS = 1 << 20;

  // Versions beyond those of ClusterMap.
  private static final int RELEASED = -3;
  private static final int OUTSIDE = -4;

  private final FleecingHook hook;
  private final Epoch epoch;
  private int room = LOOKED_AT_MAX;
  private boolean ended;

  FrozenLayout(FleecingHook hook, Epoch epoch) {
    this.hook = hook;
    this.epoch = epoch;
  }

  /// Takes runs of equal source.
  private interface Runs {
    /// Whether one more run may come.
    boolean wantsMore();

    /// Under the lock.
    ///
    /// @param version of the clusters: of ClusterMap, RELEASED, or OUTSIDE
    void add(long lengthBytes, int version);
  }

  /// Puts what the disk says of a range under what is preserved. The disk was asked first. A
  /// cluster that is still not preserved now has not changed since the snapshot (I1), so what the
  /// disk said of it holds for the frozen view. The others are overlaid.
  void overlay(long offsetBytes, List<BlockExtent> ofDisk, int extentsMax, ExtentsCompletion done) {
    List<BlockExtent> extents = new ArrayList<>();
    long position = offsetBytes;
    for (BlockExtent part : ofDisk) {
      long partEnd = position + part.lengthBytes();
      position =
          walk(
              position,
              partEnd,
              new Runs() {
                @Override
                public boolean wantsMore() {
                  return extents.size() <= extentsMax;
                }

                @Override
                public void add(long lengthBytes, int version) {
                  BlockExtent.append(extents, lengthBytes, state(version, part.state()));
                }
              });
      if (position < partEnd) {
        break;
      }
    }
    if (ended) {
      done.failed(SnapshotView.ended(epoch));
    } else {
      done.succeeded(extents.size() > extentsMax ? extents.subList(0, extentsMax) : extents);
    }
  }

  private BlockExtent.State state(int version, BlockExtent.State ofDisk) {
    return switch (version) {
      case ClusterMap.ABSENT -> ofDisk;
      case ClusterMap.ZERO -> BlockExtent.State.HOLE;
      case OUTSIDE ->
          epoch.outside.reads() == Outside.ZERO ? BlockExtent.State.HOLE : BlockExtent.State.DATA;
      default -> BlockExtent.State.DATA; // has to be read, or cannot be
    };
  }

  /// Where the content of a range is now; may cover less than asked.
  List<FrozenExtent> sources(long offsetBytes, long lengthBytes, int extentsMax)
      throws IOException {
    List<FrozenExtent> extents = new ArrayList<>();
    long unused =
        walk(
            offsetBytes,
            offsetBytes + lengthBytes,
            new Runs() {
              @Override
              public boolean wantsMore() {
                return extents.size() <= extentsMax;
              }

              @Override
              public void add(long lengthBytes, int version) {
                FrozenExtent.append(extents, lengthBytes, source(version));
              }
            });
    assert unused > offsetBytes || ended;
    if (ended) {
      throw SnapshotView.ended(epoch);
    }
    return extents.size() > extentsMax ? extents.subList(0, extentsMax) : extents;
  }

  private FrozenExtent.Source source(int version) {
    return switch (version) {
      case ClusterMap.ABSENT -> FrozenExtent.Source.DISK;
      case ClusterMap.ZERO -> FrozenExtent.Source.ZERO;
      case ClusterMap.LOST, ClusterMap.DAMAGED -> FrozenExtent.Source.LOST;
      case RELEASED -> FrozenExtent.Source.RELEASED;
      case OUTSIDE -> FrozenExtent.Source.OUTSIDE;
      default ->
          hook.store().tierOf(ClusterMap.entryOf(version)) == Tier.DISK
              ? FrozenExtent.Source.SPILLED
              : FrozenExtent.Source.RAM;
    };
  }

  /// How far it got.
  private long walk(long startBytes, long endBytes, Runs runs) {
    long position = startBytes;
    while (position < endBytes && room > 0 && runs.wantsMore()) {
      long sliceBytes = (long) SLICE_CLUSTERS * hook.geometry().clusterBytes();
      long sliceEnd = Math.min(endBytes, position / sliceBytes * sliceBytes + sliceBytes);
      hook.lock.lock();
      try {
        if (epoch.hasEnded()) {
          ended = true;
          return position;
        }
        while (position < sliceEnd && room > 0 && runs.wantsMore()) {
          room--;
          position = next(position, sliceEnd, runs);
        }
      } finally {
        hook.lock.unlock();
      }
    }
    return position;
  }

  /// Adds the run at `position`, at most to `endBytes`, and returns its end.
  @GuardedBy("hook.lock")
  private long next(long position, long endBytes, Runs runs) {
    ClusterGeometry geometry = hook.geometry();
    int cluster = geometry.clusterOf(position);
    int endCluster = geometry.clusterOf(endBytes - 1) + 1;
    int version;
    long runEnd;
    if (epoch.outside.contains(cluster)) {
      version = OUTSIDE;
      runEnd = geometry.endOf(epoch.outside.nextInside(cluster, endCluster) - 1);
    } else if (epoch.released.contains(cluster)) {
      version = RELEASED;
      int unreleased = (int) Math.min(endCluster, epoch.released.nextAbsentValue(cluster));
      runEnd = geometry.endOf(epoch.outside.nextOutside(cluster, unreleased) - 1);
    } else {
      EpochLedger.Source source = hook.ledger.source(epoch, position);
      version = source.version();
      runEnd = source.endBytes();
      if (version == ClusterMap.ABSENT && runEnd == geometry.endOf(cluster)) {
        runEnd = geometry.endOf(unchangedEnd(cluster + 1, endCluster) - 1);
      }
    }
    long end = Math.min(endBytes, runEnd);
    runs.add(end - position, version);
    return end;
  }

  /// The first cluster from `cluster` on of which the disk does not say all: preserved, if only in
  /// part, or released.
  @GuardedBy("hook.lock")
  private int unchangedEnd(int cluster, int endCluster) {
    int preserved = hook.ledger.nextVersion(epoch, cluster, endCluster);
    long released = epoch.released.nextValue(cluster);
    return released >= 0 && released < preserved ? (int) released : preserved;
  }
}
