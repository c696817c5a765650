// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.hook.BudgetStep;
import io.nbdfleece.fleecing.hook.HookListener;
import java.lang.System.Logger.Level;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/// Tells what happens: to the operator one line each in the log, to subscribers as events, in
/// order, on a thread that does nothing else.
///
/// **Threads.** Any thread; nothing waits. When subscribers are slower than events come, events are
/// dropped, and the log says how many.
final class EventHub implements HookListener {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final CopyOnWriteArrayList<Subscription> subscriptions = new CopyOnWriteArrayList<>();
  private final AtomicLong dropped = new AtomicLong();
  private final Executor teller;

  /// @param teller as [EngineThreads#teller]
  EventHub(Executor teller) {
    this.teller = teller;
  }

  /// Each is itself only, also when one subscriber subscribes twice.
  private static final class Subscription {
    final Consumer<EngineEvent> subscriber;

    Subscription(Consumer<EngineEvent> subscriber) {
      this.subscriber = subscriber;
    }
  }

  /// Has `subscriber` told from now on, until what is returned is closed.
  EventSubscription subscribe(Consumer<EngineEvent> subscriber) {
    Subscription subscription = new Subscription(subscriber);
    subscriptions.add(subscription);
    return () -> subscriptions.remove(subscription);
  }

  /// Tells the subscribers.
  void publish(EngineEvent event) {
    if (subscriptions.isEmpty()) {
      return;
    }
    try {
      teller.execute(() -> tellAll(event));
    } catch (RejectedExecutionException e) {
      dropped.incrementAndGet(); // or nobody is told any more
    }
  }

  private void tellAll(EngineEvent event) {
    long lost = dropped.getAndSet(0);
    if (lost > 0) {
      LOG.log(Level.WARNING, "{0} events were not told: subscribers are too slow", lost);
    }
    for (Subscription subscription : subscriptions) {
      tell(subscription, event);
    }
  }

  private static void tell(Subscription subscription, EngineEvent event) {
    try {
      subscription.subscriber.accept(event);
    } catch (RuntimeException | Error e) {
      LOG.log(Level.ERROR, "a subscriber of events failed", e);
    }
  }

  @Override
  public void snapshotBroken(String disk, String snapshot, String reason) {
    LOG.log(
        Level.ERROR,
        "snapshot {0} of disk {1} is broken: {2}; release it and take a new one",
        snapshot,
        disk,
        reason);
    publish(new EngineEvent.SnapshotBroken(snapshot, disk, reason, Instant.now()));
  }

  @Override
  public void clusterLost(
      String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason) {
    LOG.log(
        Level.WARNING,
        "{0} of disk {1} lacks {2} bytes at offset {3}: {4}",
        (snapshots.size() == 1 ? "snapshot " : "each of the snapshots ")
            + String.join(", ", snapshots),
        disk,
        Long.toString(lengthBytes),
        Long.toString(offsetBytes),
        reason);
    publish(new EngineEvent.ClusterLost(disk, snapshots, offsetBytes, lengthBytes, reason));
  }

  @Override
  public void guestWriteSlow(String disk, long offsetBytes, long waitedNanos) {
    LOG.log(
        Level.WARNING,
        "a guest write on disk {0} waits since {1} ms for the old data at offset {2}: the disk or"
            + " the scratch directory is slow; --cbw-timeout decides",
        disk,
        Long.toString(waitedNanos / 1_000_000),
        Long.toString(offsetBytes));
    publish(new EngineEvent.GuestWriteSlow(disk, offsetBytes, waitedNanos));
  }

  @Override
  public void budgetStep(String disk, BudgetStep step, String reason) {
    String done =
        switch (step) {
          case NORMAL -> "all is as usual again";
          case SPILL_SOONER -> "half of RAM is kept free for what comes";
          case ESSENTIALS_ONLY -> "nothing is prefetched, too";
          case BREAK_SNAPSHOTS -> "its snapshots are broken, so that the guest can go on";
        };
    Level level = step == BudgetStep.NORMAL ? Level.INFO : Level.WARNING;
    LOG.log(level, "write budget of disk {0}: {1}: {2}", disk, reason, done);
    publish(new EngineEvent.WriteBudgetStep(disk, step, reason));
  }

  void diskDamaged(String disk, String reason) {
    LOG.log(Level.ERROR, "disk {0} is damaged: {1}", disk, reason);
    publish(new EngineEvent.DiskDamaged(disk, reason));
  }

  void diskDisplaced(String disk, String reason) {
    LOG.log(Level.WARNING, "disk {0}: {1}", disk, reason);
    publish(new EngineEvent.DiskDisplaced(disk, reason));
  }

  void storeFilling(int percent, long usedBytes, long capacityBytes) {
    LOG.log(
        Level.WARNING,
        "preserved data takes more than {0} % of what RAM and scratch can hold ({1} of {2} MiB):"
            + " release a snapshot, or nbdfleece cache-resize --scratch-limit SIZE",
        percent,
        Long.toString(usedBytes >> 20),
        Long.toString(capacityBytes >> 20));
    publish(new EngineEvent.StoreFilling(percent, usedBytes, capacityBytes));
  }

  void snapshotNearLimit(String snapshot, EngineEvent.Limit limit, long used, long max) {
    String what =
        switch (limit) {
          case TTL -> "it has lived {1} of {2} s (ttl) and ends then";
          case MAX_PRESERVED -> "{1} of {2} bytes are preserved for it (max-preserved)";
        };
    LOG.log(
        Level.WARNING,
        "snapshot {0}: " + what + ": release it when its backup is done",
        snapshot,
        Long.toString(used),
        Long.toString(max));
    publish(new EngineEvent.SnapshotNearLimit(snapshot, limit, used, max));
  }

  void bitmapInconsistent(String disk, String bitmap, boolean checkpoint, String reason) {
    LOG.log(
        Level.WARNING,
        "{0} {1} of disk {2} is inconsistent: {3}; take a full backup, then {4}",
        checkpoint ? "checkpoint" : "bitmap",
        bitmap,
        disk,
        reason,
        checkpoint ? "delete it" : "remove it");
    publish(new EngineEvent.BitmapInconsistent(disk, bitmap, reason));
  }

  void stateLost(String disk, String reason) {
    LOG.log(
        Level.ERROR,
        "bitmaps of disk {0} go on in memory, but will not outlive this process: {1};"
            + " the next backup after a restart has to be a full one",
        disk,
        reason);
    publish(new EngineEvent.StateLost(disk, reason));
  }
}
