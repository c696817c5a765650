// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.EntryLostException;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// One read of a frozen view.
///
/// In one step under the lock it chooses a source for each run of clusters and registers what comes
/// from the disk (I3) or pins what comes from the store. Then it reads, all runs at once. At the
/// end it looks once more whether the view is whole (I7) and only then completes.
final class FrozenRead {
  /// A registered read holds up overlapping writers, so it is cut (I8).
  static final int DISK_PIECE_BYTES_MAX = 1 << 20;

  private final FleecingHook hook;
  private final Epoch epoch;
  private final long offsetBytes;
  private final ByteBuffer target;
  private final Completion done;
  private final boolean inner; // of another read, at the end of which clusters are released
  private final AtomicInteger remaining = new AtomicInteger();
  private final AtomicReference<@Nullable IOException> failure = new AtomicReference<>();

  FrozenRead(FleecingHook hook, Epoch epoch, long offsetBytes, ByteBuffer target, Completion done) {
    this(hook, epoch, offsetBytes, target, done, false);
  }

  private FrozenRead(
      FleecingHook hook,
      Epoch epoch,
      long offsetBytes,
      ByteBuffer target,
      Completion done,
      boolean inner) {
    this.hook = hook;
    this.epoch = epoch;
    this.offsetBytes = offsetBytes;
    this.target = target;
    this.done = done;
    this.inner = inner;
  }

  void start() {
    long endBytes = offsetBytes + target.remaining();
    List<Piece> pieces = new ArrayList<>(4);
    IOException refused;
    hook.lock.lock();
    try {
      refused = choose(endBytes, pieces);
    } finally {
      hook.lock.unlock();
    }
    if (refused != null) {
      done.failed(refused);
      return;
    }
    remaining.set(pieces.size());
    for (Piece piece : pieces) {
      try {
        piece.start();
      } catch (RuntimeException | Error e) {
        // It must give back its pin or registration, and the others still use the buffer.
        piece.failed(new IOException("internal error: " + e, e));
      }
    }
  }

  @GuardedBy("hook.lock")
  private @Nullable IOException choose(long endBytes, List<Piece> pieces) {
    if (epoch.hasEnded()) {
      return SnapshotView.ended(epoch);
    }
    ClusterGeometry geometry = hook.geometry();
    int lastCluster = geometry.clusterOf(endBytes - 1);
    // First look, then take: a refused read must leave no pin and no registration behind.
    for (int cluster = geometry.clusterOf(offsetBytes); cluster <= lastCluster; cluster++) {
      IOException refused = refusal(cluster);
      if (refused != null) {
        return refused;
      }
    }
    long position = offsetBytes;
    while (position < endBytes) {
      int cluster = geometry.clusterOf(position);
      if (epoch.outside.contains(cluster)) {
        int inside = epoch.outside.nextInside(cluster, lastCluster + 1);
        long zeroEnd = Math.min(endBytes, geometry.endOf(inside - 1));
        pieces.add(new ZeroPiece(slice(position, zeroEnd)));
        position = zeroEnd;
        continue;
      }
      EpochLedger.Source source = hook.ledger.source(epoch, position);
      int version = source.version();
      if (ClusterMap.isEntry(version)) {
        hook.store().pin(ClusterMap.entryOf(version));
      } else if (version == ClusterMap.ABSENT) {
        version = hook.clean.pinned(cluster);
      }
      long end = Math.min(endBytes, source.endBytes());
      if (version == ClusterMap.ABSENT) {
        if (source.endBytes() == geometry.endOf(cluster)) {
          int next = hook.ledger.nextVersion(epoch, cluster + 1, lastCluster + 1);
          next = hook.clean.nextPresent(cluster + 1, next);
          next = epoch.outside.nextOutside(cluster + 1, next);
          end =
              Math.min(
                  Math.min(endBytes, geometry.endOf(next - 1)),
                  geometry.endOf(geometry.clusterOf(position + DISK_PIECE_BYTES_MAX - 1)));
        }
        pieces.add(
            new DiskPiece(
                position,
                slice(position, end),
                hook.reads.register(cluster, geometry.clusterOf(end - 1))));
      } else if (version == ClusterMap.ZERO) {
        pieces.add(new ZeroPiece(slice(position, end)));
      } else {
        int entry = ClusterMap.entryOf(version);
        pieces.add(
            new StorePiece(
                cluster,
                entry,
                (int) (position - geometry.offsetOf(cluster)),
                slice(position, end)));
      }
      position = end;
    }
    return null;
  }

  @GuardedBy("hook.lock")
  private @Nullable IOException refusal(int cluster) {
    if (epoch.outside.contains(cluster)) {
      return epoch.outside.reads() == Outside.ERROR
          ? unreadable(cluster, "has not changed: it is outside of the bitmap, and was not kept")
          : null;
    }
    if (epoch.released.contains(cluster)) {
      return unreadable(
          cluster, SnapshotView.RELEASED_BY_CLIENT_TEXT + " (discarded, or read once)");
    }
    return switch (hook.ledger.lostVersion(epoch, cluster)) {
      case ClusterMap.LOST ->
          unreadable(cluster, "is lost: the disk could not be read when it was overwritten");
      case ClusterMap.DAMAGED ->
          unreadable(cluster, "is lost: its copy in the scratch directory could not be read");
      default -> null;
    };
  }

  private IOException unreadable(int cluster, String why) {
    return new IOException(
        "snapshot "
            + epoch.terms.name()
            + ": the cluster at offset "
            + hook.geometry().offsetOf(cluster)
            + " "
            + why);
  }

  private ByteBuffer slice(long startBytes, long endBytes) {
    return target.slice(
        target.position() + (int) (startBytes - offsetBytes), (int) (endBytes - startBytes));
  }

  private void ended(@Nullable IOException error) {
    if (error != null) {
      failure.compareAndSet(null, error);
    }
    if (remaining.decrementAndGet() != 0) {
      return;
    }
    IOException failed = failure.get();
    Aftermath after = new Aftermath(hook);
    hook.lock.lock();
    try {
      if (epoch.hasEnded()) {
        failed = SnapshotView.ended(epoch); // I7
      } else if (failed == null && !inner && SnapshotView.isReadOnce(epoch)) {
        hook.releaseRange(epoch, offsetBytes, offsetBytes + target.remaining(), after);
      }
    } finally {
      hook.lock.unlock();
    }
    after.run();
    if (failed == null) {
      target.position(target.limit());
      done.succeeded();
    } else {
      done.failed(failed);
    }
  }

  /// A run of clusters with one source.
  private abstract static sealed class Piece implements Completion {
    private final AtomicBoolean over = new AtomicBoolean();

    abstract void start();

    /// Ends once, however often it is told.
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

  private final class ZeroPiece extends Piece {
    private final ByteBuffer part;

    ZeroPiece(ByteBuffer part) {
      this.part = part;
    }

    @Override
    void start() {
      Zeroes.fill(part);
      succeeded();
    }

    @Override
    void end(@Nullable IOException error) {
      ended(error);
    }
  }

  private final class StorePiece extends Piece {
    private final int cluster;
    private final int entry;
    private final int offsetInCluster;
    private final ByteBuffer part;

    StorePiece(int cluster, int entry, int offsetInCluster, ByteBuffer part) {
      this.cluster = cluster;
      this.entry = entry;
      this.offsetInCluster = offsetInCluster;
      this.part = part;
    }

    @Override
    void start() {
      hook.store().read(entry, offsetInCluster, part, this);
    }

    @Override
    void end(@Nullable IOException error) {
      IOException told = error;
      boolean moved = false;
      if (error instanceof EntryLostException lost) {
        // While it is pinned: its number is not another entry's.
        moved = !hook.copies().damaged(epoch, cluster, entry, lost);
        told = unreadable(cluster, "is lost: " + lost.getMessage());
      }
      hook.store().unpin(entry);
      if (moved) {
        readAgain();
      } else {
        ended(told);
      }
    }

    /// From where the snapshot has it now: it was copied once more meanwhile, whole instead of a
    /// part of it.
    private void readAgain() {
      long positionBytes = hook.geometry().offsetOf(cluster) + offsetInCluster;
      Completion again =
          new Completion() {
            @Override
            public void succeeded() {
              ended(null);
            }

            @Override
            public void failed(IOException error) {
              ended(error);
            }
          };
      try {
        new FrozenRead(hook, epoch, positionBytes, part.clear(), again, true).start();
      } catch (RuntimeException | Error e) {
        ended(new IOException("internal error: " + e, e)); // this piece is over already
      }
    }
  }

  private final class DiskPiece extends Piece {
    private final long pieceOffsetBytes;
    private final ByteBuffer part;
    private final ActiveReads.Registration registration;

    DiskPiece(long pieceOffsetBytes, ByteBuffer part, ActiveReads.Registration registration) {
      this.pieceOffsetBytes = pieceOffsetBytes;
      this.part = part;
      this.registration = registration;
    }

    @Override
    void start() {
      hook.child().read(pieceOffsetBytes, part, this);
    }

    @Override
    void end(@Nullable IOException error) {
      unregister();
      ended(error);
    }

    private void unregister() {
      Aftermath after = new Aftermath(hook);
      hook.lock.lock();
      try {
        for (GuestWrite writer : hook.reads.unregister(registration)) {
          if (writer.arrived()) {
            after.resume(writer);
          }
        }
      } finally {
        hook.lock.unlock();
      }
      after.run();
    }
  }
}
