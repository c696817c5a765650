// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// One change of the disk on its way through the hook.
///
/// ```
///   QUEUED ──gate opens──▶ COPYING ──last copy done──▶ DRAINING READS ──last one done──▶ WRITING
///     (only while a freeze waits)  ├─ a copy failed and the policy says so ─▶ ended with EIO
///                                  └─ it was not of all that the write needs ─▶ COPYING
/// ```
///
/// The fields are guarded by the hook's lock, except that whoever runs [#proceed] owns the write.
final class GuestWrite implements Completion {
  private static final System.Logger LOG = System.getLogger(GuestWrite.class.getName());

  /// Zeroing of more clusters than this is never fast while there is a snapshot.
  private static final int FAST_CLUSTERS_MAX = 65_536;

  private final FleecingHook hook;
  final Mutation mutation;
  private final Completion done;
  final int firstCluster;
  final int lastCluster;

  /// Whether it must fail rather than wait for a copy.
  final boolean mustBeFast;

  /// Whether there was a snapshot when it came.
  boolean mustAdvance;

  /// When it began to wait for copies, in ns; 0 when it has not, or has got all of them.
  long copyingSinceNanos;

  /// When it began to wait for reads of snapshots, in ns; 0 when it does not.
  long readsAwaitedSinceNanos;

  /// For how long it has waited for snapshots in earlier stages, in ns.
  long waitedNanos;

  /// Whether something is preserved because of it.
  boolean preserves;

  /// Whether it has had its pause, if one was due.
  boolean braked;

  private int nextCluster;

  /// A cluster to look at again when nothing is waited for any more, or MAX_VALUE.
  private int againFrom = Integer.MAX_VALUE;

  /// Copies, then registered reads, that it still waits for.
  private int waiting;

  private boolean readsAwaited;
  private @Nullable IOException refusal;

  /// Under the lock: whether it counts as in flight, so that its end counts, too.
  boolean inFlight;

  private final AtomicReference<Stage> stage = new AtomicReference<>(Stage.ON_ITS_WAY);

  /// Who may end it.
  private enum Stage {
    /// The disk has not got it: whatever is thrown, nothing of it is there.
    ON_ITS_WAY,
    /// The disk has it, and tells of its end.
    APPLIED,
    /// Whoever asked for it has been told, or is being told.
    ENDED
  }

  GuestWrite(FleecingHook hook, Mutation mutation, Completion done) {
    this.hook = hook;
    this.mutation = mutation;
    this.done = done;
    this.mustBeFast =
        mutation instanceof Mutation.Zero zero && zero.speed() == Mutation.Speed.FAST_ONLY;
    long offsetBytes = mutation.offsetBytes();
    this.firstCluster = hook.geometry().clusterOf(offsetBytes);
    this.lastCluster = hook.geometry().clusterOf(offsetBytes + mutation.lengthBytes() - 1);
    this.nextCluster = firstCluster;
  }

  /// Whether there are clusters left to look at.
  boolean hasMoreClusters() {
    return nextCluster <= lastCluster && refusal == null;
  }

  /// Under the lock: the next cluster to look at.
  int nextCluster() {
    return nextCluster++;
  }

  /// The blocks of a cluster that it changes.
  int blocksOf(int cluster) {
    long offsetBytes = mutation.offsetBytes();
    return hook.geometry().blocksOf(cluster, offsetBytes, offsetBytes + mutation.lengthBytes());
  }

  /// Under the lock of its admission: whether something may have to be preserved before it. Until
  /// it has ended no epoch can begin, and without that a cluster that nobody needs will not be
  /// needed.
  boolean preservesFirst(EpochLedger ledger) {
    if (ledger.isEmpty()) {
      return false;
    }
    if (lastCluster - firstCluster >= FAST_CLUSTERS_MAX) {
      return true; // looking at so many is not fast either
    }
    for (int cluster = firstCluster; cluster <= lastCluster; cluster++) {
      if (ledger.needsPreserve(cluster, blocksOf(cluster))) {
        return true;
      }
    }
    return false;
  }

  /// Under the lock: what it is about to wait for need not be all that it needs of this cluster.
  void lookAgainAt(int cluster) {
    againFrom = Math.min(againFrom, cluster);
  }

  /// Under the lock: one more thing to wait for.
  void await() {
    waiting++;
  }

  boolean isWaiting() {
    return waiting > 0;
  }

  /// Under the lock: a copy or a registered read it waited for has ended.
  ///
  /// @return whether it was the last: the caller must [FleecingHook#proceed] without the lock
  boolean arrived() {
    if (--waiting > 0) {
      return false;
    }
    nextCluster = Math.min(nextCluster, againFrom);
    againFrom = Integer.MAX_VALUE;
    return true;
  }

  /// Under the lock: an old cluster could not be preserved and the policy protects the snapshot
  /// (I5).
  void refuse(IOException reason) {
    if (refusal == null) {
      refusal = reason;
    }
  }

  boolean isRefused() {
    return refusal != null;
  }

  /// Under the lock, all copies done: waits for registered reads, once (I4).
  ///
  /// @return whether there is nothing to wait for
  boolean awaitReads(ActiveReads reads) {
    if (hasMoreClusters()) {
      throw new IllegalStateException("clusters left to look at");
    }
    if (readsAwaited || refusal != null) {
      return true;
    }
    readsAwaited = true;
    if (!reads.isEmpty()) {
      waiting = reads.await(this, firstCluster, lastCluster);
    }
    return waiting == 0;
  }

  /// Nothing is left to wait for: changes the disk (I1: all that had to be preserved is), or fails.
  /// Does nothing when it has been broken off: its data may be gone.
  void finish() {
    IOException refused = refusal;
    if (refused != null) {
      if (passes(Stage.ON_ITS_WAY, Stage.ENDED)) {
        tellFailed(refused);
      }
      return;
    }
    if (!passes(Stage.ON_ITS_WAY, Stage.APPLIED)) {
      return;
    }
    try {
      hook.child().apply(mutation, this);
    } catch (RuntimeException | Error e) {
      // The disk may have told of the end already.
      if (!passes(Stage.APPLIED, Stage.ENDED)) {
        throw e; // of who was told of its end
      }
      tellFailed(internal(e));
    }
  }

  /// Fails it because of what was thrown on its way: in flight for ever it would keep every later
  /// freeze from being drained.
  ///
  /// @return false when the disk has it, or it has ended
  boolean breakOff(Throwable thrown) {
    boolean mine = passes(Stage.ON_ITS_WAY, Stage.ENDED);
    if (mine) {
      tellFailed(internal(thrown));
    }
    return mine;
  }

  /// The same where nobody is there to throw it to: it is logged when there is nothing to break
  /// off.
  void breakOffOrLog(Throwable thrown) {
    if (!breakOff(thrown)) {
      LOG.log(System.Logger.Level.ERROR, "who was told of the end of a write", thrown);
    }
  }

  private static IOException internal(Throwable thrown) {
    return new IOException("internal error: " + thrown, thrown);
  }

  private boolean passes(Stage from, Stage to) {
    return stage.compareAndSet(from, to);
  }

  /// It was never admitted, so it is in flight for nobody.
  void turnAway(IOException reason) {
    done.failed(reason);
  }

  private void requireEnd() {
    if (!passes(Stage.APPLIED, Stage.ENDED)) {
      throw new IllegalStateException("a change of the disk has ended twice: " + mutation);
    }
  }

  @Override
  public void succeeded() {
    requireEnd();
    try {
      done.succeeded();
    } finally {
      hook.writeEnded(false);
    }
  }

  @Override
  public void failed(IOException error) {
    requireEnd();
    tellFailed(error);
  }

  private void tellFailed(IOException error) {
    try {
      done.failed(error);
    } finally {
      if (inFlight) {
        hook.writeEnded(true);
      }
    }
  }
}
