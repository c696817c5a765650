// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.StoreConfig;
import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.BitmapViews.BitmapOwner;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointChain;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.state.DiskState;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/// The engine behind every front end: disks, their fleecing hooks, bitmaps, snapshots.
///
/// **Threads.** All methods may be called by any thread; none holds a guest request up longer than
/// the milliseconds of a drain. Those that change bitmaps, or end a snapshot with a checkpoint,
/// wait for files.
public final class FleecingEngine implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  private static final long DEADLINE_TICK_MILLIS = 100;
  private static final long RETRY_TICK_MILLIS = 1000;

  private volatile EngineConfig config;
  private final ReentrantLock resizing = new ReentrantLock();
  private final EngineThreads threads;
  private final TieredStore store;
  private final EventHub events;
  private final PressureWatch pressure;
  private final Disks disks = new Disks();
  private final BitmapViews views = new BitmapViews();
  private final Snapshots snapshots;
  private final DiskOpening opening;
  private final Transactions transactions;
  private final DamageWatch damages;
  private final PlaceWatch places;
  private final SnapshotEnds ends;
  private final AtomicBoolean closed = new AtomicBoolean();

  /// Disks that are being looked after.
  private final Set<ServedDisk> lookedAfter = ConcurrentHashMap.newKeySet();

  private FleecingEngine(
      EngineConfig config,
      EngineThreads threads,
      TieredStore store,
      Optional<DiskStates> states,
      LongSupplier nanoClock) {
    this.config = config;
    this.threads = threads;
    this.store = store;
    this.events = new EventHub(threads.teller());
    this.snapshots = new Snapshots(events);
    this.opening =
        new DiskOpening(
            config, store, threads, states, events, config.guestFirst().terms(threads.pauses()));
    this.pressure = new PressureWatch(store, events);
    this.transactions =
        new Transactions(new TransactionRun.Surroundings(threads, snapshots, states, nanoClock));
    this.damages = new DamageWatch(events, transactions);
    this.places = new PlaceWatch(events);
    this.ends = new SnapshotEnds(snapshots, transactions, threads.workers(), nanoClock);
  }

  /// Opens the store and the state directory. Fails with a message that names the directory and
  /// what to do.
  public static FleecingEngine open(EngineConfig config) throws IOException {
    Optional<DiskStates> states =
        config.stateDirectory().isPresent()
            ? Optional.of(DiskStates.in(config.stateDirectory().get()))
            : Optional.empty();
    return open(config, states, System::nanoTime);
  }

  /// With a clock for lifetimes and a place for state of the caller's choice.
  static FleecingEngine open(
      EngineConfig config, Optional<DiskStates> states, LongSupplier nanoClock) throws IOException {
    return open(config, states, nanoClock, TieredStore::open);
  }

  /// Makes the store.
  interface StoreOpening {
    TieredStore open(StoreConfig config, Executor workers) throws IOException;
  }

  /// With a store of the caller's choice, too.
  static FleecingEngine open(
      EngineConfig config,
      Optional<DiskStates> states,
      LongSupplier nanoClock,
      StoreOpening storeOpening)
      throws IOException {
    return open(
        config, states, nanoClock, storeOpening, new PlatformThreads(config.ioThreadCount()));
  }

  /// On threads of the caller's choice, which end with the engine, or when this fails.
  static FleecingEngine open(
      EngineConfig config,
      Optional<DiskStates> states,
      LongSupplier nanoClock,
      StoreOpening storeOpening,
      EngineThreads threads)
      throws IOException {
    TieredStore store;
    try {
      AvailableMemory memory = AvailableMemory.ofThisProcess();
      RamBudget.requireMachine(config, memory.machineBytes());
      RamBudget.requireHeap(config, Runtime.getRuntime().maxMemory());
      RamBudget.doubt(config.ramBytesMax(), memory.bytes())
          .ifPresent(doubt -> LOG.log(System.Logger.Level.WARNING, doubt));
      store =
          storeOpening.open(
              new StoreConfig(
                  config.clusterBytes(),
                  config.ramBytesMax(),
                  config.scratchDirectory(),
                  config.scratchBytesMax()),
              threads.scratchWorkers());
    } catch (IOException | RuntimeException e) {
      threads.end();
      if (states.isPresent()) {
        try {
          states.get().close();
        } catch (IOException closing) {
          e.addSuppressed(closing);
        }
      }
      throw e;
    }
    FleecingEngine engine = new FleecingEngine(config, threads, store, states, nanoClock);
    engine.startTicking();
    return engine;
  }

  private void startTicking() {
    threads.repeat(
        DEADLINE_TICK_MILLIS,
        () -> {
          servedDisks().forEach(disk -> disk.hook().expireCopies());
          pressure.look(servedDisks());
          ends.tick();
        });
    threads.repeat(RETRY_TICK_MILLIS, store::retryParked);
    threads.repeat(RETRY_TICK_MILLIS, this::lookAfterDisks);
  }

  /// On workers: the ticker never touches a disk. Each for itself: one that hangs must not keep the
  /// others from telling that the server runs.
  private void lookAfterDisks() {
    for (ServedDisk disk : servedDisks()) {
      if (lookedAfter.add(disk)) {
        try {
          threads.workers().execute(() -> lookAfter(disk));
        } catch (RuntimeException | Error e) { // no thread: a second later there may be one
          lookedAfter.remove(disk);
          throw e;
        }
      }
    }
  }

  private void lookAfter(ServedDisk disk) {
    try {
      damages.look(disk); // before what may wait for the state directory
      disk.tracking().stateToClose().ifPresent(DiskState::tick);
      places.look(disk);
    } finally {
      lookedAfter.remove(disk);
    }
  }

  /// Applies the lifetimes of snapshots, as happens every so often by itself.
  void tickLifetimes() {
    ends.tick();
  }

  /// Opens and locks a raw file or block device, and finds its bitmaps again. Fails, naming disk
  /// and path: no such file, not a regular file or block device, locked by another process (a
  /// [DiskBusyException]), name taken.
  public Disk addDisk(DiskConfig diskConfig) throws IOException {
    disks.reserve(diskConfig.name());
    try {
      return add(diskConfig, opening.openFile(diskConfig));
    } finally {
      disks.unreserve(diskConfig.name());
    }
  }

  /// The same with a backend that the caller has opened. The engine owns it from then on: it closes
  /// it at the end, and at once when this fails.
  public Disk addDisk(DiskConfig diskConfig, BlockNode node) throws IOException {
    try {
      disks.reserve(diskConfig.name());
    } catch (IOException e) {
      node.close();
      throw e;
    }
    try {
      return add(diskConfig, node);
    } finally {
      disks.unreserve(diskConfig.name());
    }
  }

  private Disk add(DiskConfig diskConfig, BlockNode node) throws IOException {
    ServedDisk disk = opening.serve(diskConfig, node);
    disks.add(disk); // the name is reserved, so the engine has not been closed
    return disk;
  }

  /// Takes a disk away and closes it; its bitmaps are kept like at the end. Fails when it has
  /// clients or snapshots, or when an export that was added shows it or a bitmap of it.
  public void removeDisk(String name) throws IOException {
    ServedDisk gone =
        transactions.alone(
            () -> {
              ServedDisk disk = disks.require(name);
              requireNoSnapshot(disk, Set.of());
              disk.users().closeIfUnused(name);
              disk.markRemoved();
              disks.retire(disk);
              return disk;
            });
    Failures failures = new Failures();
    try {
      failures.run(() -> damages.lookBeforeTheEnd(gone));
      failures.run(() -> opening.close(gone));
      failures.rethrow();
    } finally {
      disks.unreserve(name);
    }
  }

  /// Fails as [#removeDisk] would now, were these snapshots not there.
  public void requireRemovable(String name, Set<String> ending) throws IOException {
    ServedDisk disk = disks.require(name);
    requireNoSnapshot(disk, ending);
    disk.users().requireNone(name);
  }

  private void requireNoSnapshot(ServedDisk disk, Set<String> but) throws DiskBusyException {
    String name = disk.config().name();
    for (Snapshot snapshot : snapshots.all()) {
      if (snapshot.part(name).isPresent() && !but.contains(snapshot.name())) {
        throw new DiskBusyException(
            "disk " + name + " is in use by snapshot " + snapshot.name() + ": release it first");
      }
    }
  }

  /// The disks, in the order they were added.
  public List<Disk> disks() {
    return List.copyOf(servedDisks());
  }

  /// The disks with their hooks, for whoever exports them.
  public List<ServedDisk> servedDisks() {
    return disks.all();
  }

  /// The snapshots with their views, for whoever exports them.
  public List<Snapshot> takenSnapshots() {
    return snapshots.all();
  }

  /// The disk of that name.
  public Optional<ServedDisk> disk(String name) {
    return disks.find(name);
  }

  /// The snapshot of that name.
  public Optional<Snapshot> takenSnapshot(String name) {
    return snapshots.find(name);
  }

  /// Freezes the disks at one instant. The future fails with [NoSuchDiskException], or
  /// [NameTakenException], or an IOException when writes in flight did not finish in time, or as
  /// [#transact] does.
  public CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request) {
    return transact(List.of(new TransactionAction.TakeSnapshot(request)))
        .thenApply(result -> result.snapshot().orElseThrow());
  }

  /// Carries out all steps at one instant, or none. Writes are held up for as long as the slowest
  /// write in flight takes. The future fails with a [io.nbdfleece.fleecing.bitmap.BitmapException]
  /// or what [#snapshot] fails with.
  public CompletableFuture<TransactionResult> transact(List<TransactionAction> actions) {
    TransactionPlan plan;
    try {
      plan = new TransactionPlanner(disks, views, snapshots).plan(actions);
    } catch (IOException e) {
      return CompletableFuture.failedFuture(e);
    }
    if (plan.snapshot().isPresent()) {
      store.prepare();
    }
    return transactions
        .submit(plan)
        .whenComplete(
            (done, error) -> {
              if (error != null) {
                plan.snapshot().ifPresent(taken -> snapshots.unreserve(taken.name()));
              }
            });
  }

  /// What a transaction has done.
  ///
  /// @param snapshot the one that it took
  /// @param heldNanos how long writes were held up
  public record TransactionResult(Optional<SnapshotStatus> snapshot, long heldNanos) {}

  /// Ends a snapshot on all its disks and frees its copies. Requests of clients still connected
  /// fail from then on. Fails, and changes nothing, when the snapshot has a checkpoint and is
  /// whole: then [#release(String, ReleaseOutcome)] is needed.
  ///
  /// @return the snapshot as it was
  public SnapshotStatus release(String snapshotName) throws IOException {
    return waitFor(ends.release(snapshotName, Optional.empty()));
  }

  /// The same, saying what became of the backup. Needed for a snapshot with a checkpoint.
  public SnapshotStatus release(String snapshotName, ReleaseOutcome outcome) throws IOException {
    if (outcome == ReleaseOutcome.SUCCESS) {
      for (Snapshot.Part part :
          takenSnapshot(snapshotName).map(Snapshot::parts).orElse(List.of())) {
        damages.breakIfWritten(part.disk());
      }
    }
    return waitFor(ends.release(snapshotName, Optional.of(outcome)));
  }

  private static SnapshotStatus waitFor(CompletableFuture<SnapshotStatus> ending)
      throws IOException {
    try {
      return ending.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof IOException cause) {
        throw cause;
      }
      throw e;
    }
  }

  /// What has bitmaps beside the disks.
  public BitmapViews views() {
    return views;
  }

  private BitmapOwner owner(String diskOrView) throws NoSuchDiskException {
    Optional<BitmapOwner> view = views.find(diskOrView);
    if (view.isPresent()) {
      return view.get();
    }
    ServedDisk disk = disks.require(diskOrView);
    return new BitmapOwner(disk.tracking(), disk.users());
  }

  private DiskTracking tracking(String diskOrView) throws NoSuchDiskException {
    return owner(diskOrView).tracking();
  }

  /// The bitmaps of a disk, checkpoints' stretches included, or of a view, in the order they were
  /// made.
  public List<BitmapInfo> bitmaps(String diskOrView) throws NoSuchDiskException {
    DiskTracking tracking = tracking(diskOrView);
    return tracking.current().infos(tracking::inUse);
  }

  /// The checkpoints of a disk, oldest first.
  public List<CheckpointInfo> checkpoints(String disk) throws NoSuchDiskException {
    DiskTracking tracking = disks.require(disk).tracking();
    return CheckpointChain.infos(tracking.current(), tracking);
  }

  /// What was written since a checkpoint, or what is dirty in a bitmap, as of now: without freezing
  /// anything. Of a checkpoint that still waits for its backup too.
  public GranuleSet dirtySince(String diskOrView, String name) throws IOException {
    DiskTracking tracking = tracking(diskOrView);
    return CheckpointChain.estimate(tracking.current(), name, tracking);
  }

  /// Takes a bitmap into use: it is busy until that is closed. Fails when it is busy, inconsistent
  /// or not there.
  public BitmapUse useBitmap(BitmapRef bitmap) throws IOException {
    BitmapOwner owner = owner(bitmap.owner());
    owner.users().held();
    try {
      return owner.tracking().takeIntoUse(bitmap.name(), owner.users());
    } catch (BitmapException | RuntimeException e) {
      owner.users().released();
      throw e;
    }
  }

  /// Has `subscriber` told of events, in order, on a thread of the engine's; it must not wait.
  /// Closing what is returned ends that.
  public EventSubscription subscribe(Consumer<EngineEvent> subscriber) {
    return events.subscribe(subscriber);
  }

  /// The snapshots, oldest first, broken ones included until they are released.
  public List<SnapshotStatus> snapshots() {
    return takenSnapshots().stream().map(Snapshot::status).toList();
  }

  /// RAM and disk tier.
  public StoreStatistics storeStatistics() {
    return store.statistics();
  }

  /// Gives RAM and disk tier other sizes while they are in use; what is absent stays as it is. RAM
  /// that is too much is given back when what it holds has been spilled. Fails, and changes
  /// nothing, when what is preserved would not fit, or the memory is not there, or the engine has
  /// been closed.
  ///
  /// @throws IllegalArgumentException for sizes that [EngineConfig] does not take
  public void resizeStore(OptionalLong ramBytesMax, OptionalLong scratchBytesMax)
      throws IOException {
    resizing.lock();
    try {
      if (closed.get()) {
        throw new IOException("the server is shutting down");
      }
      EngineConfig next =
          config.resized(
              ramBytesMax.orElse(config.ramBytesMax()),
              scratchBytesMax.orElse(config.scratchBytesMax()));
      AvailableMemory memory = AvailableMemory.ofThisProcess();
      RamBudget.requireMachine(next, memory.machineBytes());
      RamBudget.requireHeap(next, Runtime.getRuntime().maxMemory());
      RamBudget.requireMemory(next.ramBytesMax() - config.ramBytesMax(), memory.bytes());
      store.resize(next.ramBytesMax(), next.scratchBytesMax());
      config = next;
    } finally {
      resizing.unlock();
    }
  }

  /// What the engine was opened with, and the sizes as they are now.
  public EngineConfig config() {
    return config;
  }

  /// Ends all snapshots (those with a checkpoint as failed), closes the disks (data written so far
  /// is synced, bitmaps are kept), frees the store. Idempotent. No request may be in flight any
  /// more.
  @Override
  public void close() throws IOException {
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    ends.close();
    transactions.close();
    threads.endTicks(); // first: a tick under way may hand work to the workers
    ends.endAll();
    Failures failures = new Failures();
    for (ServedDisk disk : disks.close()) {
      disk.users().close();
      disk.markRemoved();
      failures.run(() -> damages.lookBeforeTheEnd(disk));
      failures.run(() -> opening.close(disk));
    }
    failures.run(opening::close);
    threads.endWork(); // first: what workers do may still use the store's memory
    resizing.lock(); // so may a change of its size, which opens the scratch file, too
    try {
      failures.run(store::close);
    } finally {
      resizing.unlock();
    }
    threads.endTelling();
    failures.rethrow();
  }
}
