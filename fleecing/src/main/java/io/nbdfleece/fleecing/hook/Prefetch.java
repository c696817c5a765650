// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// Brings a range of a frozen view into RAM, a step after the other, as far as there is room that
/// nothing else needs: clusters that are on the disk still as clean copies ([CleanClusters]),
/// unless a part of them is preserved, and what is in the store's disk tier as copies beside it. It
/// fails nothing and nobody: what cannot be read is left out.
///
/// A cluster is read from the disk as a registered read (I3), chosen because this snapshot would
/// read it from there. If at the end, under the lock, it still would, the cluster has not changed
/// meanwhile (I1).
final class Prefetch {
  private static final System.Logger LOG = System.getLogger(Prefetch.class.getName());

  /// Read at once, so that an event loop is not kept for long, nor an overlapping write (I8).
  private static final int STEP_BYTES = 1 << 20;

  /// Clusters looked at in one go under the lock.
  private static final int LOOKED_AT_MAX = 16_384;

  private final FleecingHook hook;
  private final Epoch epoch;
  private final Completion done;
  private final int endCluster;
  private final int piecesMax;

  /// More than RAM can hold need not be looked for, even where it is all zeroes.
  private int clustersLeft;

  private int nextCluster;
  private boolean noRoom;
  private final AtomicInteger remaining = new AtomicInteger();

  Prefetch(FleecingHook hook, Epoch epoch, long offsetBytes, long lengthBytes, Completion done) {
    this.hook = hook;
    this.epoch = epoch;
    this.done = done;
    ClusterGeometry geometry = hook.geometry();
    this.nextCluster = geometry.clusterOf(offsetBytes);
    this.endCluster = geometry.clusterOf(offsetBytes + lengthBytes - 1) + 1;
    this.piecesMax = Math.max(1, STEP_BYTES / geometry.clusterBytes());
    this.clustersLeft =
        Math.toIntExact(hook.store().statistics().ramBytesMax() / geometry.clusterBytes());
  }

  /// Owned by one thread at a time: the caller's, then whoever ends the last piece of a step.
  void step() {
    List<Piece> pieces = new ArrayList<>();
    IOException ended = null;
    hook.lock.lock();
    try {
      if (epoch.hasEnded()) {
        ended = SnapshotView.ended(epoch);
      } else if (hook.budgetStep().includes(BudgetStep.ESSENTIALS_ONLY)) {
        noRoom = true; // guests need the disk for themselves
      } else {
        choose(pieces);
      }
    } finally {
      hook.lock.unlock();
    }
    if (ended != null) {
      done.failed(ended);
    } else if (pieces.isEmpty()) {
      stepEnded();
    } else {
      remaining.set(pieces.size());
      for (Piece piece : pieces) {
        try {
          piece.start();
        } catch (RuntimeException | Error e) {
          // It must give back its slot and registration.
          piece.failed(new IOException("internal error: " + e, e));
        }
      }
    }
  }

  @GuardedBy("hook.lock")
  private void choose(List<Piece> pieces) {
    for (int lookedAt = 0;
        nextCluster < endCluster
            && clustersLeft > 0
            && pieces.size() < piecesMax
            && lookedAt < LOOKED_AT_MAX;
        lookedAt++) {
      int cluster = nextCluster;
      if (epoch.released.contains(cluster)) {
        nextCluster = (int) Math.min(endCluster, epoch.released.nextAbsentValue(cluster));
        continue;
      }
      Part part = EpochLedger.part(epoch, cluster);
      int version = hook.ledger.version(epoch, cluster);
      if (part != null) {
        prefetchEntry(part.version(), pieces);
      }
      if (version != ClusterMap.ABSENT) {
        prefetchEntry(version, pieces);
      } else if (part == null && !hook.clean.has(cluster)) {
        Optional<RamSlot> slot = spareSlot();
        if (slot.isEmpty()) {
          noRoom = true;
          return;
        }
        pieces.add(new DiskPiece(cluster, slot.get(), hook.reads.register(cluster, cluster)));
        clustersLeft--;
      }
      nextCluster++;
    }
  }

  /// Without memory there is no room; what has been chosen before must be started all the same.
  private Optional<RamSlot> spareSlot() {
    try {
      return hook.store().acquireSpare();
    } catch (OutOfMemoryError none) {
      LOG.log(System.Logger.Level.DEBUG, "no memory to prefetch into", none);
      return Optional.empty();
    }
  }

  @GuardedBy("hook.lock")
  private void prefetchEntry(int version, List<Piece> pieces) {
    if (ClusterMap.isEntry(version)
        && hook.store().tierOf(ClusterMap.entryOf(version)) == Tier.DISK) {
      hook.store().pin(ClusterMap.entryOf(version));
      pieces.add(new StorePiece(ClusterMap.entryOf(version)));
      clustersLeft--;
    }
  }

  private void pieceEnded() {
    if (remaining.decrementAndGet() == 0) {
      stepEnded();
    }
  }

  private void stepEnded() {
    if (noRoom || nextCluster == endCluster || clustersLeft <= 0) {
      done.succeeded();
    } else {
      hook.continueElsewhere(this::step);
    }
  }

  /// One cluster. Ends once, however often it is told.
  private abstract static sealed class Piece implements Completion {
    private final AtomicBoolean over = new AtomicBoolean();

    abstract void start();

    abstract void end(@Nullable IOException error);

    @Override
    public void succeeded() {
      if (over.compareAndSet(false, true)) {
        end(null);
      }
    }

    @Override
    public void failed(IOException error) {
      if (over.compareAndSet(false, true)) {
        end(error);
      }
    }
  }

  /// Already preserved, in the store's disk tier.
  private final class StorePiece extends Piece {
    private final int entry;

    StorePiece(int entry) {
      this.entry = entry;
    }

    @Override
    void start() {
      if (!hook.store().prefetch(entry, this)) {
        noRoom = true;
        succeeded();
      }
    }

    @Override
    void end(@Nullable IOException error) {
      hook.store().unpin(entry);
      pieceEnded();
    }
  }

  /// Not preserved yet.
  private final class DiskPiece extends Piece {
    private final int cluster;
    private final RamSlot slot;
    private final ActiveReads.Registration registration;

    DiskPiece(int cluster, RamSlot slot, ActiveReads.Registration registration) {
      this.cluster = cluster;
      this.slot = slot;
      this.registration = registration;
    }

    @Override
    void start() {
      hook.child()
          .read(hook.geometry().offsetOf(cluster), CopyFill.toFill(slot, hook, cluster), this);
    }

    @Override
    void end(@Nullable IOException error) {
      boolean zero = error == null && Zeroes.only(slot.buffer().clear());
      boolean used = false;
      Aftermath after = new Aftermath(hook);
      hook.lock.lock();
      try {
        for (GuestWrite writer : hook.reads.unregister(registration)) {
          if (writer.arrived()) {
            after.resume(writer);
          }
        }
        if (error == null && isStillOnDisk()) {
          hook.clean.add(cluster, zero ? null : slot);
          used = !zero;
        }
      } finally {
        hook.lock.unlock();
      }
      if (!used) {
        hook.store().abandon(slot);
      }
      after.run();
      pieceEnded();
    }

    /// The view would read it from the disk: what was read is what it shows.
    @GuardedBy("hook.lock")
    private boolean isStillOnDisk() {
      return !epoch.hasEnded()
          && !epoch.released.contains(cluster)
          && EpochLedger.part(epoch, cluster) == null
          && hook.ledger.version(epoch, cluster) == ClusterMap.ABSENT
          && !hook.clean.has(cluster);
    }
  }
}
