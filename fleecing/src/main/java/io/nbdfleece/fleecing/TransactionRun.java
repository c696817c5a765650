// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.FleecingEngine.TransactionResult;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.TransactionPlan.PlannedSnapshot;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.hook.Drain;
import io.nbdfleece.fleecing.hook.PreservedQuota;
import io.nbdfleece.fleecing.hook.SnapshotScope;
import io.nbdfleece.fleecing.hook.SnapshotTerms;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/// One transaction, from its turn to its end.
///
/// ```
///   rehearse ─▶ drain ─▶ perform, mark old and new ─▶ commit ─▶ publish, mark new
///      │ error            │ error                      │ error
///      └─ nothing done    └─ gates open, nothing done  └─ mark old; views released
/// ```
///
/// The rehearsal goes through the steps with writes in flight: it finds the errors before they cost
/// a guest anything, and makes the arrays that the performance takes. Between the drain and the
/// commit a write is marked in the arrays of both configurations, so the old one is true until the
/// commit, and the new one from the drain on, also if the process is killed in between.
///
/// **Threads.** One at a time: a worker, whichever thread drains the last disk, a worker.
final class TransactionRun {
  /// A drain waits this long for writes in flight; then writes go on and the transaction fails.
  static final Duration DRAIN_MAX = Duration.ofSeconds(10);

  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private final TransactionPlan plan;
  private final Surroundings around;
  private final Map<DiskTracking, BitmapBench> benches = new LinkedHashMap<>();
  private final Map<DiskTracking, DiskBitmaps> before = new LinkedHashMap<>();
  private final CompletableFuture<TransactionResult> result = new CompletableFuture<>();
  private volatile Instant frozenAt = Instant.EPOCH;
  private boolean claiming;

  /// What it runs in.
  ///
  /// @param nanoClock of lifetimes
  record Surroundings(
      EngineThreads threads,
      Snapshots snapshots,
      Optional<DiskStates> states,
      LongSupplier nanoClock) {}

  private TransactionRun(TransactionPlan plan, Surroundings around) {
    this.plan = plan;
    this.around = around;
  }

  /// Runs it. To be called on a worker, when no other transaction is under way. The future
  /// completes when this one is not either.
  static CompletableFuture<TransactionResult> start(TransactionPlan plan, Surroundings around) {
    TransactionRun run = new TransactionRun(plan, around);
    run.rehearse();
    return run.result;
  }

  private void rehearse() {
    TransactionPass rehearsal;
    try {
      Instant now = around.threads().wallTime();
      for (DiskTracking owner : plan.owners()) {
        owner.requirePresent();
        benches.put(owner, new BitmapBench(owner, now));
        before.put(owner, owner.current());
      }
      claim();
      rehearsal = pass();
    } catch (IOException | RuntimeException | Error e) {
      fail(e);
      return;
    }
    // What a view's bitmaps hold changes by transactions only: they need no drain.
    if (plan.snapshot().isEmpty()
        && plan.disks().stream().noneMatch(disk -> benchOf(disk.tracking()).needsDrain())) {
      end(new Performance(rehearsal, List.of()), 0);
    } else {
      drain();
    }
  }

  private BitmapBench benchOf(DiskTracking owner) {
    return Optional.ofNullable(benches.get(owner)).orElseThrow();
  }

  private void claim() {
    claiming = true;
    for (DiskTracking owner : plan.owners()) {
      Set<String> names =
          plan.names().stream()
              .filter(ref -> ref.owner().equals(owner.name()))
              .map(BitmapRef::name)
              .collect(Collectors.toSet());
      owner.claim(names);
    }
  }

  private TransactionPass pass() throws IOException {
    TransactionPass pass = new TransactionPass(benches);
    for (TransactionPlan.Step step : plan.steps()) {
      step.run(pass);
    }
    return pass;
  }

  private void drain() {
    Drain<Performance> drain;
    try {
      drain =
          Drain.start(
              plan.disks().stream().map(ServedDisk::hook).toList(),
              this::perform,
              around.threads()::nanoTime);
    } catch (RuntimeException | Error e) {
      fail(e);
      return;
    }
    IOException tooSlow =
        new IOException(
            plan.what()
                + "writes in flight did not finish within "
                + DRAIN_MAX.toSeconds()
                + " s; nothing was "
                + (plan.snapshot().isPresent() ? "frozen" : "changed")
                + "; look for a disk that hangs");
    // A disk that hangs may have all of the workers by then, and the others' gates are closed.
    EngineThreads.Due giveUp =
        around
            .threads()
            .later(
                DRAIN_MAX.toMillis(),
                () -> drain.cancel(tooSlow, around.threads().scratchWorkers()));
    var _ =
        drain
            .outcome()
            .whenComplete(
                (drained, error) -> {
                  giveUp.cancel();
                  around
                      .threads()
                      .workers()
                      .execute(
                          () -> {
                            if (error == null) {
                              end(drained.yielded(), drained.heldNanos());
                            } else {
                              fail(error);
                            }
                          });
                });
  }

  /// What the drained disks were left with.
  private record Performance(TransactionPass pass, List<SnapshotView> views) {}

  private Performance perform() throws IOException {
    Instant now = around.threads().wallTime();
    benches.values().forEach(bench -> bench.perform(now));
    TransactionPass pass = pass();
    frozenAt = now;
    List<SnapshotView> views = new ArrayList<>();
    try {
      if (plan.snapshot().isPresent()) {
        freeze(plan.snapshot().get(), pass, views);
      }
      pass.outcome().forEach((owner, after) -> owner.mark(List.of(beforeOf(owner), after)));
    } catch (RuntimeException | Error e) {
      thaw(views);
      throw e;
    }
    return new Performance(pass, views);
  }

  private DiskBitmaps beforeOf(DiskTracking owner) {
    return Optional.ofNullable(before.get(owner)).orElseThrow();
  }

  /// There is to be no snapshot after all.
  private void thaw(List<SnapshotView> views) {
    views.forEach(SnapshotView::release);
    plan.disks().forEach(disk -> views.forEach(disk.tracking()::endFreeze));
  }

  private void freeze(PlannedSnapshot snapshot, TransactionPass pass, List<SnapshotView> views) {
    SnapshotRequest request = snapshot.request();
    SnapshotTerms terms =
        new SnapshotTerms(
            snapshot.name(),
            request.access(),
            request.onCbwError(),
            request.cbwTimeout().toNanos(),
            request.lifetime().preservedBytesMax().map(max -> quota(snapshot.name(), max)));
    Outside outside = request.increment().outside();
    for (ServedDisk disk : snapshot.disks()) {
      Optional<GranuleSet> wanted = pass.wanted(disk);
      SnapshotScope scope =
          wanted.isEmpty() || outside == Outside.DATA
              ? SnapshotScope.ALL
              : new SnapshotScope(wanted, outside);
      SnapshotView view = disk.hook().freeze(terms, scope);
      views.add(view);
      pass.sinceFreeze(disk).ifPresent(bits -> disk.tracking().markSinceFreeze(view, bits));
    }
  }

  private PreservedQuota quota(String snapshot, long bytesMax) {
    return new PreservedQuota(
        bytesMax,
        used ->
            around
                .snapshots()
                .nearLimit(snapshot, EngineEvent.Limit.MAX_PRESERVED, used, bytesMax));
  }

  private void end(Performance performance, long heldNanos) {
    Map<DiskTracking, DiskBitmaps> after = new LinkedHashMap<>(performance.pass().outcome());
    try {
      StateCommit commit = new StateCommit(around.states());
      after.forEach((owner, bitmaps) -> commit.add(owner, beforeOf(owner), bitmaps));
      after.putAll(commit.run());
    } catch (IOException | RuntimeException | Error e) {
      thaw(performance.views());
      before.forEach(DiskTracking::publish);
      fail(e);
      return;
    }
    committed(performance, after, heldNanos);
  }

  /// There is no way back any more: the lists name what is new.
  private void committed(
      Performance performance, Map<DiskTracking, DiskBitmaps> after, long heldNanos) {
    try {
      after.forEach(DiskTracking::publish);
      Optional<Snapshot> taken =
          plan.snapshot().map(snapshot -> keep(snapshot, performance, heldNanos));
      unclaim();
      result.complete(new TransactionResult(taken.map(Snapshot::status), heldNanos));
    } catch (RuntimeException | Error e) {
      thaw(performance.views());
      unclaim();
      result.completeExceptionally(e);
    }
  }

  private Snapshot keep(PlannedSnapshot snapshot, Performance performance, long heldNanos) {
    SnapshotRequest request = snapshot.request();
    List<Snapshot.Part> parts = new ArrayList<>();
    Map<String, String> bitmapsInUse = new HashMap<>();
    for (int i = 0; i < snapshot.disks().size(); i++) {
      ServedDisk disk = snapshot.disks().get(i);
      DiskBitmaps bitmaps = disk.tracking().current();
      Optional<String> since = request.increment().sinceOf(disk.config().name());
      since
          .flatMap(bitmaps::find)
          .filter(bitmap -> bitmap.checkpoint().isEmpty())
          .filter(_ -> request.increment().bitmaps() == SnapshotRequest.Bitmaps.HELD)
          .ifPresent(bitmap -> bitmapsInUse.put(disk.config().name(), bitmap.name()));
      Optional<Snapshot.Part.Dirty> dirty =
          performance
              .pass()
              .wanted(disk)
              .map(
                  set ->
                      new Snapshot.Part.Dirty(
                          request.increment().exportedAs().or(() -> since).orElseThrow(), set));
      parts.add(
          new Snapshot.Part(
              disk,
              performance.views().get(i),
              new SnapshotClients(),
              dirty,
              since.flatMap(bitmaps::find).flatMap(Snapshot.Part.Point::of),
              request
                  .increment()
                  .checkpoint()
                  .flatMap(bitmaps::find)
                  .flatMap(Snapshot.Part.Point::of)));
    }
    Snapshot kept =
        new Snapshot(
            snapshot.name(),
            frozenAt,
            Duration.ofNanos(heldNanos),
            request,
            parts,
            bitmapsInUse,
            around.nanoClock());
    around.snapshots().add(kept);
    request.increment().checkpoint().ifPresent(name -> warnIfInMemory(snapshot, name));
    return kept;
  }

  private static void warnIfInMemory(PlannedSnapshot snapshot, String checkpoint) {
    List<String> inMemory = new ArrayList<>();
    for (ServedDisk disk : snapshot.disks()) {
      if (disk.tracking().current().persistent().stream()
          .noneMatch(bitmap -> bitmap.name().equals(checkpoint))) {
        inMemory.add(disk.config().name());
      }
    }
    if (!inMemory.isEmpty()) {
      LOG.log(
          System.Logger.Level.WARNING,
          "checkpoint {0} is kept in memory only on {1}: after a restart the next backup has to"
              + " be a full one (--state DIR keeps the checkpoints of files and block devices)",
          checkpoint,
          String.join(", ", inMemory));
    }
  }

  private void unclaim() {
    if (claiming) {
      plan.owners().forEach(DiskTracking::unclaim);
    }
  }

  private void fail(Throwable error) {
    benches.forEach(
        (owner, bench) -> owner.state().ifPresent(state -> state.discard(bench.files())));
    unclaim();
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    result.completeExceptionally(cause == null ? error : cause);
  }
}
