// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.FileSender;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FilterNode;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NotFastException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// The copy-before-write filter on top of a disk: before a cluster is overwritten, its old content
/// is preserved in the cluster store for the snapshots that still need it.
///
/// Invariants, cited by number in the code and in the tests:
///
/// - I1: the backend changes only after what is changed, and a snapshot needs, is preserved
/// - I2: a preserved mark is set only after the store holds the cluster
/// - I3: choosing the source and registering the read happen in one step
/// - I4: a writer that set preserved marks waits out registered overlapping reads before it changes
///   the backend
/// - I5: the first failure to preserve is sticky; the policy decides whether the snapshot or the
///   guest write fails; never both silently
/// - I6: a preserved cluster leaves the store only by release, or because the snapshot ended; a
///   part also when the whole version holds the same
/// - I7: a broken snapshot never yields data again: in-flight reads re-check before they reply
/// - I8: a registered read never lasts as long as a client pleases
///
/// Without a snapshot a write costs one uncontended lock on the way in and one on the way out.
///
/// **Threads.** Any thread. Nothing waits; a waiter is a queued continuation.
public final class FleecingHook implements FilterNode {
  /* The lock guards decisions only: each critical section is a few table look-ups, and what
   * follows from them (I/O, store calls that may run foreign code, completions) is done after it,
   * by way of Aftermath. Lock order: hook, then store (pin, unpin and tierOf only). Two hooks are
   * never locked together: a freeze of several disks closes all gates, waits for the writes in
   * flight, and then starts the epochs one after the other, because nothing can change in
   * between. */

  private final String disk;
  private final BlockNode child;
  private final ClusterStore store;
  private final ClusterGeometry geometry;
  private final Executor continuations;
  private final LongSupplier nanoClock;
  private final HookListener listener;

  final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  final EpochLedger ledger;

  @GuardedBy("lock")
  final ActiveReads reads = new ActiveReads();

  /// Copies of clusters that have not changed.
  @GuardedBy("lock")
  final CleanClusters clean;

  private final ClusterCopies copies;

  @GuardedBy("lock")
  private final ArrayDeque<GuestWrite> gateQueue = new ArrayDeque<>();

  @GuardedBy("lock")
  private boolean gateClosed;

  @GuardedBy("lock")
  private @Nullable Runnable drained;

  @GuardedBy("lock")
  private int writesInFlight;

  @GuardedBy("lock")
  private final WriteCosts costs;

  private final WriteBrake brake;

  /// A hook whose snapshots may cost guests anything.
  public FleecingHook(
      String disk,
      BlockNode child,
      ClusterStore store,
      Executor continuations,
      LongSupplier nanoClock,
      HookListener listener) {
    this(disk, child, store, continuations, nanoClock, listener, WriteTerms.NONE);
  }

  /// @param disk name for messages
  /// @param continuations runs what must not run on the store's own thread
  /// @param nanoClock as `System.nanoTime`
  public FleecingHook(
      String disk,
      BlockNode child,
      ClusterStore store,
      Executor continuations,
      LongSupplier nanoClock,
      HookListener listener,
      WriteTerms terms) {
    this.brake = terms.brake();
    this.costs = new WriteCosts(terms);
    this.disk = disk;
    this.child = child;
    this.store = store;
    this.continuations = continuations;
    this.nanoClock = nanoClock;
    this.listener = listener;
    this.geometry = ClusterGeometry.of(child, store.clusterBytes());
    this.ledger = new EpochLedger(geometry, terms.parts());
    this.clean = new CleanClusters(this);
    this.copies = new ClusterCopies(this);
  }

  @Override
  public long sizeBytes() {
    return geometry.sizeBytes();
  }

  /// How the disk is cut.
  public ClusterGeometry geometry() {
    return geometry;
  }

  @Override
  public BlockNode child() {
    return child;
  }

  ClusterStore store() {
    return store;
  }

  HookListener listener() {
    return listener;
  }

  long nanoTime() {
    return nanoClock.getAsLong();
  }

  /// Under the lock: who sees which version.
  @SuppressWarnings("GuardedBy") // asserted
  EpochLedger ledger() {
    assert lock.isHeldByCurrentThread();
    return ledger;
  }

  /// Under the lock: copies of clusters that have not changed.
  @SuppressWarnings("GuardedBy") // asserted
  CleanClusters clean() {
    assert lock.isHeldByCurrentThread();
    return clean;
  }

  /// The copies under way.
  ClusterCopies copies() {
    return copies;
  }

  String disk() {
    return disk;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    child.read(offsetBytes, target, done);
  }

  @Override
  public void read(long offsetBytes, List<ByteBuffer> targets, Completion done) {
    child.read(offsetBytes, targets, done);
  }

  @Override
  public Optional<FileSender> sender(long offsetBytes, int lengthBytes) {
    return child.sender(offsetBytes, lengthBytes);
  }

  /// Preserves what has to be preserved, then changes the disk. Fails with an IOException that says
  /// so when the cluster could not be preserved and a snapshot was taken with BREAK_GUEST_WRITE;
  /// then nothing has changed. Zeroing that must be fast fails, at once and with nothing changed,
  /// when a cluster would have to be preserved first.
  @Override
  public void apply(Mutation mutation, Completion done) {
    GuestWrite write = new GuestWrite(this, mutation, done);
    try {
      admit(write);
    } catch (RuntimeException | Error e) {
      if (!write.breakOff(e)) {
        throw e;
      }
    }
  }

  /// Counts it in and has it begin, or wait at the gate.
  void admit(GuestWrite write) {
    boolean tooSlow;
    lock.lock();
    try {
      // A snapshot being taken needs every cluster.
      tooSlow = write.mustBeFast && (gateClosed || write.preservesFirst(ledger));
      if (!tooSlow) {
        if (gateClosed) {
          gateQueue.add(write);
          return;
        }
        writesInFlight++;
        write.inFlight = true;
        write.mustAdvance = !ledger.isEmpty();
      }
    } finally {
      lock.unlock();
    }
    if (tooSlow) {
      write.turnAway(
          new NotFastException("disk " + disk + ": a snapshot needs what would be zeroed"));
    } else if (write.mustAdvance) {
      advance(write);
    } else {
      write.finish();
    }
  }

  /// A write has nothing left to wait for in its stage: on to the next one.
  void proceed(GuestWrite write) {
    if (write.hasMoreClusters()) {
      // A change of many clusters must not keep an event loop for long.
      continuations.execute(() -> goOn(write));
    } else {
      advance(write);
    }
  }

  /// The next stage, where nobody is there to throw anything to.
  private void goOn(GuestWrite write) {
    try {
      advance(write);
    } catch (RuntimeException | Error e) {
      write.breakOffOrLog(e);
    }
  }

  private void advance(GuestWrite write) {
    List<ClusterCopy> toStart;
    EntryList kept = new EntryList();
    List<PreservedQuota> dueQuotas = List.of();
    boolean ready = false;
    boolean more = false;
    long pauseNanos = 0;
    lock.lock();
    try {
      toStart = copies.join(write, kept);
      if (kept.count() > 0) {
        dueQuotas = ledger.dueQuotas();
      }
      if (!write.isWaiting()) {
        more = write.hasMoreClusters();
        if (!more) {
          long nowNanos = write.copyingSinceNanos == 0 ? 0 : nanoClock.getAsLong();
          pauseNanos = costs.allPreserved(write, nowNanos, store.filledPermille());
          ready = pauseNanos == 0 && mayWrite(write);
        }
      }
    } finally {
      lock.unlock();
    }
    if (kept.count() > 0) {
      store.kept(kept.array(), kept.count());
      dueQuotas.forEach(PreservedQuota::act);
    }
    if (ready) {
      write.finish();
    } else if (more) {
      proceed(write);
    } else if (pauseNanos > 0) {
      brake.pause(pauseNanos, () -> continuations.execute(() -> goOn(write)));
    }
    if (!toStart.isEmpty()) {
      CopyRun.startAll(this, toStart);
    }
  }

  /* The clock is read only for those that wait. */
  @GuardedBy("lock")
  private boolean mayWrite(GuestWrite write) {
    boolean ready = write.awaitReads(reads);
    if (!ready) {
      costs.awaitsReads(write, nanoClock.getAsLong());
    } else if (write.waitedNanos != 0 || write.readsAwaitedSinceNanos != 0) {
      costs.admitted(write, write.readsAwaitedSinceNanos == 0 ? 0 : nanoClock.getAsLong());
    }
    return ready;
  }

  /// Under the lock: gives up what has to be given up for the budget of guest writes.
  ///
  /// @param oldestWaitNanos for how long the write waits that has waited longest
  @SuppressWarnings("GuardedBy") // asserted; called from ClusterCopies under the lock
  void keepBudget(long nowNanos, long oldestWaitNanos, Aftermath after) {
    assert lock.isHeldByCurrentThread();
    WriteBudget.Change change =
        costs.budget().look(nowNanos, oldestWaitNanos, ledger.mayBreakAll());
    if (change == null) {
      return;
    }
    after.tell(() -> listener.budgetStep(disk, change.step(), change.reason()));
    if (change.step() == BudgetStep.BREAK_SNAPSHOTS) {
      for (Epoch epoch : ledger.all()) {
        end(epoch, "it held guest writes up (--write-budget): " + change.reason(), true, after);
      }
    }
  }

  /// Breaks all snapshots of the disk: it has changed by another way than through here.
  public void breakSnapshots(String reason) {
    Aftermath after = new Aftermath(this);
    lock.lock();
    try {
      for (Epoch epoch : ledger.all()) {
        end(epoch, reason, true, after);
      }
    } finally {
      lock.unlock();
    }
    after.run();
  }

  /// What is given up now for the budget of guest writes.
  public BudgetStep budgetStep() {
    lock.lock();
    try {
      return costs.budget().step();
    } finally {
      lock.unlock();
    }
  }

  /// A write has completed and its caller knows.
  void writeEnded(boolean failed) {
    Runnable lastOneOut = null;
    lock.lock();
    try {
      costs.ended(failed);
      if (--writesInFlight == 0 && gateClosed) {
        lastOneOut = drained;
        drained = null;
      }
    } finally {
      lock.unlock();
    }
    if (lastOneOut != null) {
      lastOneOut.run();
    }
  }

  void continueElsewhere(Runnable continuation) {
    continuations.execute(continuation);
  }

  /// Closes the gate: writes that come from now on are queued. `onDrained` runs once, without
  /// locks, when no write is in flight: inside the call or later. One freeze at a time.
  public void closeGate(Runnable onDrained) {
    boolean now;
    lock.lock();
    try {
      if (gateClosed) {
        throw new IllegalStateException("two freezes of disk " + disk + " at once");
      }
      gateClosed = true;
      now = writesInFlight == 0;
      if (!now) {
        drained = onDrained;
      }
    } finally {
      lock.unlock();
    }
    if (now) {
      onDrained.run();
    }
  }

  /// Lets writes go on, the queued ones first.
  public void openGate() {
    liftGate().run();
  }

  /// Lets writes go on but for the queued ones, which go on when what is returned is run: that may
  /// wait for the disk, this does not.
  Runnable liftGate() {
    List<GuestWrite> queued;
    lock.lock();
    try {
      gateClosed = false;
      drained = null;
      queued = List.copyOf(gateQueue);
      gateQueue.clear();
    } finally {
      lock.unlock();
    }
    return () -> admitAll(queued);
  }

  private void admitAll(List<GuestWrite> queued) {
    for (GuestWrite write : queued) {
      try {
        admit(write);
      } catch (RuntimeException | Error e) {
        // One write's misfortune must not keep the others, or other disks' gates, closed.
        write.breakOffOrLog(e);
      }
    }
  }

  /// As the one below, of all of the disk.
  public SnapshotView freeze(SnapshotTerms terms) {
    return freeze(terms, SnapshotScope.ALL);
  }

  /// Starts an epoch: the view shows the disk as it is now, or a part of it. Only between the drain
  /// of [#closeGate] and [#openGate].
  public SnapshotView freeze(SnapshotTerms terms, SnapshotScope scope) {
    OutsideClusters outside = OutsideClusters.of(scope, geometry); // may take a while
    lock.lock();
    try {
      if (!gateClosed || writesInFlight != 0) {
        throw new IllegalStateException("disk " + disk + " is not drained");
      }
      SnapshotView view = new SnapshotView(this, ledger.begin(terms, outside));
      terms.quota().ifPresent(quota -> quota.covers(view));
      return view;
    } finally {
      lock.unlock();
    }
  }

  /// Ends the epoch of a snapshot, for good: copies that nobody else needs are freed, copies under
  /// way that nobody else needs are forgotten, and reads in flight find out when they re-check
  /// (I7).
  @SuppressWarnings("GuardedBy") // asserted; called from ClusterCopies under the lock
  void end(Epoch epoch, String reason, boolean broken, Aftermath after) {
    assert lock.isHeldByCurrentThread();
    if (epoch.hasEnded()) {
      return;
    }
    epoch.endedBecause = reason;
    epoch.broken = broken;
    ledger.end(epoch, after.freed);
    after.free(epoch.preserved);
    after.free(epoch.parts);
    clean.dropUnneeded(0, geometry.clusterCount(), after);
    copies.forgetThoseNobodyNeeds(after);
    if (broken) {
      after.tell(() -> listener.snapshotBroken(disk, epoch.terms.name(), reason));
    }
  }

  /// Adds bytes to what the client of a snapshot has released.
  @GuardedBy("lock")
  void releaseRange(Epoch epoch, long startBytes, long endBytes, Aftermath after) {
    ByteRangeSet.Range joined = epoch.releasedPartly.add(startBytes, endBytes);
    int first = geometry.clusterOf(joined.startBytes() + geometry.clusterBytes() - 1);
    int end =
        joined.endBytes() == geometry.sizeBytes()
            ? geometry.clusterCount() // the last cluster may be short
            : geometry.clusterOf(joined.endBytes());
    if (first >= end) {
      return;
    }
    epoch.releasedPartly.cut(geometry.offsetOf(first), geometry.endOf(end - 1));
    ledger.release(epoch, first, end, after.freed);
    clean.dropUnneeded(first, end, after);
    copies.forgetThoseNobodyNeeds(after);
  }

  /// Applies the deadlines of the snapshots and the budget of guest writes to the copies under way.
  /// To be called every so often.
  public void expireCopies() {
    copies.expire();
  }

  /// Figures since the hook was made.
  public HookStatistics statistics() {
    lock.lock();
    try {
      return costs.statistics(copies.preserved());
    } finally {
      lock.unlock();
    }
  }
}
