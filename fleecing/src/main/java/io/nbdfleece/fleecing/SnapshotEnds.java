// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;

/// How snapshots end: somebody releases them, or their time is up. The checkpoint of one is settled
/// first, so that there is no moment at which the backup has ended and nobody knows how.
///
/// **Threads.** Any thread.
final class SnapshotEnds {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  /// After ending one by itself has failed, it is tried again.
  private static final long RETRY_NANOS = Duration.ofSeconds(10).toNanos();

  private final Snapshots snapshots;
  private final Transactions transactions;
  private final Executor workers;
  private final LongSupplier nanoClock;
  private final ReentrantLock lock = new ReentrantLock();

  /// By identity: names come again.
  @GuardedBy("lock")
  private final Map<Snapshot, Watch> watches = new HashMap<>();

  /// Times of one snapshot, as the clock shows them.
  private static final class Watch {
    long lastClientNanos;
    long visits;
    long notBeforeNanos;
    boolean nearTold;

    Watch(long bornNanos) {
      lastClientNanos = bornNanos;
      notBeforeNanos = bornNanos;
    }
  }

  SnapshotEnds(
      Snapshots snapshots, Transactions transactions, Executor workers, LongSupplier nanoClock) {
    this.workers = workers;
    this.snapshots = snapshots;
    this.transactions = transactions;
    this.nanoClock = nanoClock;
  }

  /// Ends it as asked. Fails, and changes nothing, when it waits to hear whether the backup
  /// succeeded.
  CompletableFuture<SnapshotStatus> release(String name, Optional<ReleaseOutcome> outcome) {
    Snapshot snapshot;
    try {
      snapshot = snapshots.beginEnding(name);
    } catch (IOException e) {
      return CompletableFuture.failedFuture(e);
    }
    if (snapshot.checkpoint().isEmpty()) {
      return CompletableFuture.completedFuture(ended(snapshot, Optional.empty(), Optional.empty()));
    }
    boolean broken = snapshot.isBroken();
    String checkpoint = snapshot.checkpoint().get();
    if (outcome.isEmpty() && !broken) {
      snapshots.stay(snapshot);
      return refused(
          "snapshot "
              + name
              + " started checkpoint "
              + checkpoint
              + ": say whether its backup succeeded (release it with --success or --failed)");
    }
    if (broken && outcome.filter(ReleaseOutcome.SUCCESS::equals).isPresent()) {
      snapshots.stay(snapshot);
      return refused(
          "snapshot "
              + name
              + " is broken: its backup is not whole and checkpoint "
              + checkpoint
              + " cannot stand (release it with --failed)");
    }
    return settle(snapshot, checkpoint, outcome.orElse(ReleaseOutcome.FAILED), Optional.empty());
  }

  private static CompletableFuture<SnapshotStatus> refused(String why) {
    return CompletableFuture.failedFuture(new BitmapException(BitmapException.Reason.INVALID, why));
  }

  private CompletableFuture<SnapshotStatus> settle(
      Snapshot snapshot, String checkpoint, ReleaseOutcome outcome, Optional<String> reason) {
    return transactions
        .submit(TransactionPlanner.settle(snapshot, checkpoint, outcome))
        .whenComplete(
            (result, error) -> {
              if (error != null) {
                snapshots.stay(snapshot);
              }
            })
        .thenApply(
            result -> ended(snapshot, Optional.of(outcome == ReleaseOutcome.SUCCESS), reason));
  }

  private SnapshotStatus ended(
      Snapshot snapshot, Optional<Boolean> success, Optional<String> reason) {
    SnapshotStatus status = snapshot.status();
    snapshots.end(snapshot, success, reason);
    return status;
  }

  /// Begins no more endings, and returns when those under way have come to their end, so that
  /// [#endAll] meets none of them.
  void close() {
    snapshots.closeEndings();
  }

  /// Ends all of them because the engine is closed: those with a checkpoint as failed, which is
  /// seen to where the bitmaps are kept. After [#close], when none can be taken any more.
  void endAll() {
    for (Snapshot snapshot : snapshots.all()) {
      snapshots.end(
          snapshot, snapshot.checkpoint().map(_ -> false), Optional.of("the server stops"));
    }
  }

  /// Ends those whose time is up, soon, on other threads. To be called every so often.
  void tick() {
    long nowNanos = nanoClock.getAsLong();
    List<Snapshot> all = snapshots.all();
    for (Snapshot snapshot : all) {
      overdue(snapshot, nowNanos)
          .ifPresentOrElse(
              reason -> endByItself(snapshot, reason), () -> tellIfNear(snapshot, nowNanos));
    }
    lock.lock();
    try {
      Set<Snapshot> here = new HashSet<>(all);
      watches.keySet().retainAll(here);
    } finally {
      lock.unlock();
    }
  }

  private Optional<String> overdue(Snapshot snapshot, long nowNanos) {
    SnapshotRequest.Lifetime lifetime = snapshot.request().lifetime();
    if (lifetime.max().isEmpty() && lifetime.idleMax().isEmpty()) {
      return Optional.empty();
    }
    boolean clients = snapshot.hasClients();
    long visits = snapshot.visits();
    lock.lock();
    try {
      Watch watch = watches.computeIfAbsent(snapshot, _ -> new Watch(snapshot.bornNanos()));
      if (clients || visits != watch.visits) {
        watch.visits = visits;
        watch.lastClientNanos = nowNanos;
      }
      if (snapshots.isEnding(snapshot) || nowNanos - watch.notBeforeNanos < 0) {
        return Optional.empty();
      }
      if (isOver(lifetime.max(), nowNanos - snapshot.bornNanos())) {
        return Optional.of("its time is up: " + lifetime.max().orElseThrow().toSeconds() + " s");
      }
      if (isOver(lifetime.idleMax(), nowNanos - watch.lastClientNanos)) {
        return Optional.of(
            "it had no client for " + lifetime.idleMax().orElseThrow().toSeconds() + " s");
      }
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  /// At 80 % of its time, once.
  private void tellIfNear(Snapshot snapshot, long nowNanos) {
    Optional<Duration> max = snapshot.request().lifetime().max();
    long livedNanos = nowNanos - snapshot.bornNanos();
    if (!isOver(max.map(all -> all.dividedBy(5).multipliedBy(4)), livedNanos)
        || isOver(max, livedNanos)) {
      return;
    }
    lock.lock();
    try {
      Watch watch = watches.get(snapshot);
      if (watch == null || watch.nearTold || snapshots.isEnding(snapshot)) {
        return;
      }
      watch.nearTold = true;
    } finally {
      lock.unlock();
    }
    snapshots.nearLimit(
        snapshot.name(),
        EngineEvent.Limit.TTL,
        Duration.ofNanos(livedNanos).toSeconds(),
        max.orElseThrow().toSeconds());
  }

  private static boolean isOver(Optional<Duration> limit, long passedNanos) {
    return limit.isPresent() && limit.get().compareTo(Duration.ofNanos(passedNanos)) <= 0;
  }

  private void endByItself(Snapshot snapshot, String reason) {
    if (!snapshots.beginEnding(snapshot)) {
      return; // somebody releases it now
    }
    Optional<String> checkpoint = snapshot.checkpoint();
    LOG.log(
        Level.WARNING,
        "snapshot {0} ends by itself: {1}{2}",
        snapshot.name(),
        reason,
        checkpoint
            .map(c -> "; checkpoint " + c + " is undone, the next incremental backup covers all")
            .orElse(""));
    if (checkpoint.isEmpty()) {
      // Writes that wait for a copy go on then: not on the caller's thread.
      workers.execute(() -> ended(snapshot, Optional.empty(), Optional.of(reason)));
      return;
    }
    var _ =
        settle(snapshot, checkpoint.get(), ReleaseOutcome.FAILED, Optional.of(reason))
            .whenComplete(
                (status, error) -> {
                  if (error != null) {
                    postpone(snapshot, error);
                  }
                });
  }

  private void postpone(Snapshot snapshot, Throwable error) {
    LOG.log(
        Level.ERROR,
        "snapshot {0} could not be ended, and is tried again in 10 s: {1}",
        snapshot.name(),
        error.getMessage());
    lock.lock();
    try {
      Watch watch = watches.get(snapshot);
      if (watch != null) {
        watch.notBeforeNanos = nanoClock.getAsLong() + RETRY_NANOS;
      }
    } finally {
      lock.unlock();
    }
  }
}
