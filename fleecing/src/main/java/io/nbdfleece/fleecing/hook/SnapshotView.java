// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// One disk as it was when a snapshot was taken: each cluster from the store if it has been
/// preserved, else from the disk. Any thread; nothing waits. A view that has ended, by a failure or
/// a release, never yields data again (I7).
public final class SnapshotView {
  /// What every failed read of a view that broke says, and no other failure.
  public static final String BROKEN_TEXT = " is broken and yields no data any more";

  /// Clusters looked at in one go under the lock; a status that needs more is answered short.
  private static final int LOOKED_AT_MAX = 16_384;

  /// Clusters skipped over in one go under the lock when counting.
  private static final int SLICE_CLUSTERS = 1 << 20;

  private final FleecingHook hook;
  private final Epoch epoch;

  SnapshotView(FleecingHook hook, Epoch epoch) {
    this.hook = hook;
    this.epoch = epoch;
  }

  public long sizeBytes() {
    return hook.sizeBytes();
  }

  public SnapshotTerms terms() {
    return epoch.terms;
  }

  /// Fills `target` with the frozen bytes at `offsetBytes`. Fails, with a message that says why,
  /// for a cluster that was released or lost, and when the view has ended.
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    new FrozenRead(hook, epoch, offsetBytes, target, done).start();
  }

  /// The client has this range and will not read it again (NBD_CMD_TRIM on a snapshot): its copies
  /// are freed, whole clusters of it are not preserved any more, and reading them fails. Ranges
  /// smaller than a cluster add up.
  public void discard(long offsetBytes, long lengthBytes, Completion done) {
    Aftermath after = new Aftermath(hook);
    IOException refused = null;
    hook.lock.lock();
    try {
      if (epoch.endedBecause != null) {
        refused = ended(epoch);
      } else {
        hook.releaseRange(epoch, offsetBytes, offsetBytes + lengthBytes, after);
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
    if (refused == null) {
      done.succeeded();
    } else {
      done.failed(refused);
    }
  }

  /// A hint that the range is going to be read (NBD_CMD_CACHE): as much of it as there is spare
  /// room for is brought into RAM. It takes no room from what is preserved, and gives way to it.
  /// Succeeds also when there is no room or the disk cannot be read; fails when the view has ended.
  public void prefetch(long offsetBytes, long lengthBytes, Completion done) {
    new Prefetch(hook, epoch, offsetBytes, lengthBytes, done).step();
  }

  /// Holes of the frozen view: where the disk has a hole and nothing was preserved, and where a
  /// zero cluster was preserved. Released and lost clusters count as data.
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    hook.child()
        .status(
            offsetBytes,
            lengthBytes,
            extentsMax,
            new ExtentsCompletion() {
              @Override
              public void succeeded(List<BlockExtent> extents) {
                overlay(offsetBytes, extents, extentsMax, done);
              }

              @Override
              public void failed(IOException error) {
                done.failed(error);
              }
            });
  }

  /* The disk was asked first. A cluster that is still not preserved now has not changed since the
   * snapshot (I1), so what the disk said of it holds for the frozen view. The others are
   * overlaid. */
  private void overlay(
      long offsetBytes, List<BlockExtent> ofDisk, int extentsMax, ExtentsCompletion done) {
    List<BlockExtent> extents = new ArrayList<>();
    long position = offsetBytes;
    int room = LOOKED_AT_MAX;
    for (BlockExtent part : ofDisk) {
      long partEnd = position + part.lengthBytes();
      while (position < partEnd && extents.size() <= extentsMax && room > 0) {
        // In slices, so that no guest write waits long.
        long sliceBytes = (long) SLICE_CLUSTERS * hook.geometry().clusterBytes();
        long sliceEnd = Math.min(partEnd, position / sliceBytes * sliceBytes + sliceBytes);
        hook.lock.lock();
        try {
          if (epoch.endedBecause != null) {
            room = -1;
            break;
          }
          while (position < sliceEnd && extents.size() <= extentsMax && room > 0) {
            room--;
            position = overlayNext(position, sliceEnd, part.state(), extents);
          }
        } finally {
          hook.lock.unlock();
        }
      }
      if (position < partEnd) {
        break;
      }
    }
    if (room < 0) {
      done.failed(ended(epoch));
    } else {
      done.succeeded(extents.size() > extentsMax ? extents.subList(0, extentsMax) : extents);
    }
  }

  /// Adds the extent at `position`, at most to `endBytes`, and returns its end.
  @GuardedBy("hook.lock")
  private long overlayNext(
      long position, long endBytes, BlockExtent.State ofDisk, List<BlockExtent> extents) {
    ClusterGeometry geometry = hook.geometry();
    int cluster = geometry.clusterOf(position);
    int special = nextNotPlain(cluster, geometry.clusterOf(endBytes - 1) + 1);
    long end = Math.min(endBytes, geometry.endOf(special > cluster ? special - 1 : cluster));
    BlockExtent.append(extents, end - position, special > cluster ? ofDisk : stateOf(cluster));
    return end;
  }

  /// The first cluster from `cluster` on of which the disk says nothing: preserved or released.
  @GuardedBy("hook.lock")
  private int nextNotPlain(int cluster, int endCluster) {
    int preserved = hook.ledger.nextVersion(epoch, cluster, endCluster);
    long released = epoch.released.nextValue(cluster);
    return released >= 0 && released < preserved ? (int) released : preserved;
  }

  @GuardedBy("hook.lock")
  private BlockExtent.State stateOf(int cluster) {
    boolean zero =
        !epoch.released.contains(cluster) && hook.ledger.version(epoch, cluster) == ClusterMap.ZERO;
    return zero ? BlockExtent.State.HOLE : BlockExtent.State.DATA;
  }

  /// Ends the view and frees its copies. Idempotent.
  public void release() {
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      hook.end(epoch, "was released", false, after);
    } finally {
      hook.lock.unlock();
    }
    after.run();
  }

  /// Why it is broken, if it is.
  public Optional<String> brokenBecause() {
    hook.lock.lock();
    try {
      return epoch.broken ? Optional.ofNullable(epoch.endedBecause) : Optional.empty();
    } finally {
      hook.lock.unlock();
    }
  }

  /// What the view holds at this moment. Walks its clusters in slices, so that no guest write waits
  /// long.
  public ViewStatistics statistics() {
    ClusterGeometry geometry = hook.geometry();
    long preserved = 0;
    long inRam = 0;
    long onDisk = 0;
    long lost = 0;
    long released = 0;
    int cluster = 0;
    while (cluster < geometry.clusterCount()) {
      int sliceStart = cluster;
      hook.lock.lock();
      try {
        released = epoch.released.getLongCardinality();
        if (epoch.hasEnded()) {
          return new ViewStatistics(0, 0, 0, released * geometry.clusterBytes(), 0);
        }
        for (int n = 0; n < LOOKED_AT_MAX && cluster < geometry.clusterCount(); n++) {
          int sliceEnd = Math.min(geometry.clusterCount(), sliceStart + SLICE_CLUSTERS);
          cluster = hook.ledger.nextVersion(epoch, cluster, sliceEnd);
          if (cluster == sliceEnd) {
            break;
          }
          int version = hook.ledger.version(epoch, cluster++);
          if (version == ClusterMap.LOST) {
            lost++;
          } else if (ClusterMap.isEntry(version)) {
            preserved++;
            Tier tier = hook.store().tierOf(ClusterMap.entryOf(version));
            inRam += tier == Tier.DISK ? 0 : 1;
            onDisk += tier == Tier.DISK ? 1 : 0;
          }
        }
      } finally {
        hook.lock.unlock();
      }
    }
    long unit = geometry.clusterBytes();
    return new ViewStatistics(
        preserved * unit, inRam * unit, onDisk * unit, released * unit, lost * unit);
  }

  /// Bytes of whole clusters; a short last cluster counts as a whole one.
  ///
  /// @param preservedBytes stored for this view, shared ones included, zero clusters not
  /// @param ramBytes of these, in RAM
  /// @param diskBytes of these, in the disk tier
  /// @param releasedBytes released by the client
  /// @param lostBytes could not be read when they had to be preserved
  public record ViewStatistics(
      long preservedBytes, long ramBytes, long diskBytes, long releasedBytes, long lostBytes) {}

  static boolean isReadOnce(Epoch epoch) {
    return epoch.terms.access() == Access.READ_ONCE;
  }

  /// What a client is told once the view has ended.
  static IOException ended(Epoch epoch) {
    String name = "snapshot " + epoch.terms.name();
    return new SnapshotEndedException(
        epoch.broken
            ? name + BROKEN_TEXT + ": " + epoch.endedBecause
            : name + " " + epoch.endedBecause,
        epoch.broken);
  }
}
