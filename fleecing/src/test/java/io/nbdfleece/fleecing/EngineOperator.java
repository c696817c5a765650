// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.SimulatedDisk;
import io.nbdfleece.fleecing.hook.SimulatedSnapshot;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.fleecing.hook.SnapshotScope;
import io.nbdfleece.fleecing.state.SimulatedStateDirectory;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;

/// Operators of a simulated server: each command is a thread that may wait, and what came of it is
/// compared with what may come of it.
final class EngineOperator {
  private final SimulatedWorld world;
  private final SimulatedMachine machine;
  private final Consumer<Throwable> wrong;
  private final SomeActions choice;
  final EngineGuest.Counts writes = new EngineGuest.Counts();
  final EngineBackup.Counts reads = new EngineBackup.Counts();
  final Counts counts = new Counts();

  /// What bitmaps have to hold, and what a transaction under way would make of it.
  BitmapBook book = new BitmapBook();

  final CheckpointBook checkpoints = new CheckpointBook();
  private final List<Submitted> submitted = new ArrayList<>();
  private final Set<Running> running = new LinkedHashSet<>();
  private final Map<String, List<EngineBackup>> backups = new LinkedHashMap<>();
  private boolean closing;

  /// What operators have done.
  static final class Counts {
    int commands;
    int transactions;
    int refused;
    int failed;
    int snapshots;
    int ofSeveralDisks;
    int incrementals;
    int looks;
  }

  /// A transaction under way.
  private static final class Submitted {
    final List<TransactionAction> actions;

    Submitted(List<TransactionAction> actions) {
      this.actions = actions;
    }
  }

  /// A command that has not come to its end.
  private static final class Running {
    final String what;

    Running(String what) {
      this.what = what;
    }
  }

  EngineOperator(SimulatedWorld world, SimulatedMachine machine, Consumer<Throwable> wrong) {
    this.world = world;
    this.machine = machine;
    this.wrong = wrong;
    this.choice = new SomeActions(world, machine, this);
  }

  private FleecingEngine engine() {
    return machine.engine();
  }

  /// What has not come to its end.
  List<String> pending() {
    return running.stream().map(each -> each.what).toList();
  }

  /// Something that waits.
  interface Waiting {
    void run() throws IOException;
  }

  void command(String what, Waiting body) {
    counts.commands++;
    Running mine = new Running(what);
    running.add(mine);
    machine
        .process()
        .threads()
        .start(
            () -> {
              try {
                body.run();
              } catch (IOException e) {
                judge(what, e);
              } finally {
                running.remove(mine);
              }
            });
  }

  private void judge(String what, IOException error) {
    String text = "" + error.getMessage();
    if (error instanceof BitmapException
        || error instanceof NoSuchDiskException
        || error instanceof NoSuchSnapshotException
        || error instanceof NameTakenException
        || error instanceof DiskBusyException) {
      counts.refused++;
      return;
    }
    counts.failed++;
    boolean ofState =
        world.faults.contains(Fault.STATE_CALL)
            && (text.contains(SimulatedStateDirectory.ERROR_TEXT)
                || text.contains("an earlier")
                || text.contains("will not outlive"));
    boolean ofDisk =
        world.faults.contains(Fault.DISK_SYNC) && text.contains(SimulatedDisk.ERROR_TEXT);
    boolean ofTime =
        world.faults.contains(Fault.DISK_HANG) && text.contains("did not finish within");
    if (!ofState && !ofDisk && !ofTime && !(closing && text.contains("shutting down"))) {
      wrong.accept(new AssertionError(what + " failed without reason", error));
    }
  }

  private static <T> T await(CompletableFuture<T> future) throws IOException {
    try {
      return future.join();
    } catch (CompletionException e) {
      Throwable cause = e.getCause();
      while (cause instanceof CompletionException && cause.getCause() != null) {
        cause = cause.getCause();
      }
      if (cause instanceof IOException failure) {
        throw failure;
      }
      throw e;
    }
  }

  // ---- transactions ----

  void transact() {
    List<TransactionAction> actions = choice.some();
    command("transaction " + actions, () -> transact(actions));
  }

  private void transact(List<TransactionAction> actions) throws IOException {
    counts.transactions++;
    Submitted mine = new Submitted(actions);
    checkpoints.deleting(actions, 1);
    CompletableFuture<FleecingEngine.TransactionResult> result = engine().transact(actions);
    submitted.add(mine);
    CompletableFuture<Void> noted =
        result.handle(
            (outcome, error) -> {
              boolean wasUnderWay = submitted.indexOf(mine) == 0;
              submitted.remove(mine);
              checkpoints.deleting(actions, -1);
              if (error == null) {
                looked(() -> committed(actions, outcome));
              }
              if (wasUnderWay) {
                machine.forgetLastContents();
              }
              return null;
            });
    await(noted);
    var _ = await(result);
  }

  /// Has what fails here be seen.
  private void looked(Runnable what) {
    try {
      what.run();
    } catch (AssertionError | RuntimeException e) {
      wrong.accept(e);
    }
  }

  /// The configurations that are possible after a kill at this moment.
  List<BitmapBook> candidates() {
    List<BitmapBook> all = new ArrayList<>();
    all.add(book.persistent());
    if (!submitted.isEmpty()) {
      try {
        all.add(book.after(submitted.getFirst().actions, machine.lastContents()).persistent());
      } catch (AssertionError e) {
        // it has not come so far, or would have failed
      }
    }
    return all;
  }

  private void committed(
      List<TransactionAction> actions, FleecingEngine.TransactionResult outcome) {
    Map<String, byte[]> at =
        outcome
            .snapshot()
            .map(status -> machine.contentsAt(status.created()))
            .orElseGet(machine::lastContents);
    BitmapBook next = book;
    for (TransactionAction action : actions) {
      next = next.after(List.of(action), at);
      if (action instanceof TransactionAction.TakeSnapshot(SnapshotRequest request)) {
        taken(request, outcome.snapshot().orElseThrow(), next);
      }
      if (action instanceof TransactionAction.DeleteCheckpoint(String disk, String checkpoint)) {
        checkpoints.remove(disk, checkpoint);
      }
    }
    book = next;
  }

  private void taken(SnapshotRequest request, SnapshotStatus status, BitmapBook then) {
    Snapshot snapshot =
        engine()
            .takenSnapshot(status.name())
            .orElseThrow(() -> new AssertionError("taken, but not there: " + status.name()));
    counts.snapshots++;
    counts.ofSeveralDisks += snapshot.parts().size() > 1 ? 1 : 0;
    Instant instant = snapshot.created();
    List<EngineBackup> clients = new ArrayList<>();
    for (Snapshot.Part part : snapshot.parts()) {
      String disk = part.disk().config().name();
      byte[] truth = machine.contentAt(instant, disk);
      Optional<GranuleSet> dirty = part.dirty().map(Snapshot.Part.Dirty::granules);
      SnapshotRequest.Outside outside = request.increment().outside();
      SnapshotScope scope =
          dirty.isEmpty() || outside == SnapshotRequest.Outside.DATA
              ? SnapshotScope.ALL
              : new SnapshotScope(dirty, outside);
      Optional<String> since = request.increment().sinceOf(disk);
      if (since.isPresent()) {
        counts.incrementals++;
        checkIncrement(disk, since.get(), truth, dirty.orElseThrow(), then);
      }
      clients.add(
          new EngineBackup(
              world,
              snapshot,
              part,
              new SimulatedSnapshot(
                  part.view(), truth, scope, SimulatedMachine.CLUSTER_BYTES, Set.of()),
              () -> isThere(snapshot),
              wrong,
              reads));
      request
          .increment()
          .checkpoint()
          .ifPresent(name -> checkpoints.begin(disk, name, snapshot.name(), truth));
    }
    backups.put(snapshot.name(), clients);
  }

  private boolean isThere(Snapshot snapshot) {
    return machine.isRunning()
        && engine().takenSnapshot(snapshot.name()).filter(snapshot::equals).isPresent();
  }

  private void checkIncrement(
      String disk, String since, byte[] truth, GranuleSet dirty, BitmapBook then) {
    Optional<BitSet> required =
        checkpoints
            .required(disk, since, truth)
            .or(() -> then.find(new BitmapRef(disk, since)).map(each -> each.required(truth)));
    if (required.isEmpty()) {
      throw new AssertionError("since what is not there: " + disk + " " + since);
    }
    int missing = BitmapBook.missing(required.get(), dirty);
    if (missing >= 0) {
      throw new AssertionError(
          "an incremental snapshot lacks sector " + missing + " of " + disk + " since " + since);
    }
  }

  // ---- snapshots ----

  void release() {
    List<SnapshotStatus> all = engine().snapshots();
    if (all.isEmpty()) {
      return;
    }
    String name = all.get(world.choice.nextInt(all.size())).name();
    ReleaseOutcome[] outcomes = ReleaseOutcome.values();
    Optional<ReleaseOutcome> outcome =
        world.choice.nextInt(10) == 0
            ? Optional.empty()
            : Optional.of(outcomes[world.choice.nextInt(outcomes.length)]);
    command("release " + name + " " + outcome, () -> release(name, outcome));
  }

  private void release(String name, Optional<ReleaseOutcome> outcome) throws IOException {
    boolean success = outcome.filter(ReleaseOutcome.SUCCESS::equals).isPresent();
    checkpoints.confirming(name, success ? 1 : 0);
    try {
      var _ = outcome.isPresent() ? engine().release(name, outcome.get()) : engine().release(name);
      checkpoints.released(name, success);
    } finally {
      checkpoints.confirming(name, success ? -1 : 0);
    }
  }

  /// Ends all that is there, in one way or another.
  void releaseAll() {
    for (SnapshotStatus each : engine().snapshots()) {
      command(
          "release " + each.name(), () -> release(each.name(), Optional.of(ReleaseOutcome.FAILED)));
    }
  }

  /// A client of some snapshot does something.
  void read() {
    List<EngineBackup> all = clients();
    if (!all.isEmpty()) {
      all.get(world.choice.nextInt(all.size())).some();
    }
  }

  void readEverything() {
    clients().forEach(EngineBackup::readAll);
  }

  private List<EngineBackup> clients() {
    backups
        .values()
        .removeIf(each -> !isThere(each.getFirst().snapshot()) && world.choice.nextBoolean());
    return backups.values().stream().flatMap(List::stream).toList();
  }

  // ---- the rest ----

  /// Looks at what a bitmap or a checkpoint holds, while all goes on.
  void look() {
    List<String> disks = List.copyOf(machine.disks().keySet());
    String disk = disks.get(world.choice.nextInt(disks.size()));
    List<String> names = new ArrayList<>(book.of(disk).keySet());
    names.addAll(checkpoints.standing(disk));
    if (!names.isEmpty()) {
      String name = names.get(world.choice.nextInt(names.size()));
      command("look at " + disk + " " + name, () -> look(disk, name));
    }
  }

  private void look(String disk, String name) throws IOException {
    if (engine().disk(disk).isEmpty()) {
      return;
    }
    counts.looks++;
    byte[] content = machine.disk(disk).content.clone();
    Optional<BitSet> required =
        checkpoints
            .required(disk, name, content)
            .or(() -> book.find(new BitmapRef(disk, name)).map(each -> each.required(content)));
    GranuleSet dirty;
    try {
      dirty = engine().dirtySince(disk, name);
    } catch (BitmapException e) {
      if (required.isPresent() && !mayLoseState()) {
        wrong.accept(new AssertionError("cannot look at " + disk + " " + name, e));
      }
      return;
    } catch (NoSuchFileException e) {
      return; // a transaction meanwhile has replaced it
    }
    if (required.isPresent()) {
      int missing = BitmapBook.missing(required.get(), dirty);
      if (missing >= 0) {
        wrong.accept(new AssertionError("sector " + missing + " of " + disk + " lacks in " + name));
      }
    }
  }

  /// Whether bitmaps may be gone, or inconsistent, after a restart.
  boolean mayLoseState() {
    return world.faults.contains(Fault.STATE_CALL);
  }

  void resize() {
    OptionalLong ram =
        OptionalLong.of((16L + world.choice.nextInt(40)) * SimulatedMachine.CLUSTER_BYTES);
    OptionalLong scratch =
        world.faults.contains(Fault.SCRATCH_SMALL)
            ? OptionalLong.of((long) world.choice.nextInt(80) * SimulatedMachine.CLUSTER_BYTES)
            : OptionalLong.empty();
    command(
        "resize",
        () -> {
          try {
            engine().resizeStore(ram, scratch);
          } catch (IOException e) {
            counts.refused++; // it does not fit
          }
        });
  }

  /// The engine is about to be closed, orderly.
  void closing() {
    closing = true;
  }

  /// All that was in this process is gone.
  void forget() {
    closing = false;
    running.clear();
    submitted.clear();
    backups.clear();
    reads.open = 0;
  }
}
