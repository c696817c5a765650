// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.StoreConfig;
import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.block.NodeAbility;
import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.Freeze;
import io.nbdfleece.fleecing.hook.HookListener;
import io.nbdfleece.fleecing.hook.SnapshotTerms;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// The engine behind every front end: disks, their fleecing hooks, snapshots.
///
/// **Threads.** All methods may be called by any thread; none holds a guest request up longer than
/// the milliseconds of a freeze.
public final class FleecingEngine implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());

  /// A freeze waits this long for writes in flight; then writes go on and the snapshot fails.
  static final Duration DRAIN_MAX = Duration.ofSeconds(10);

  /// Measured: 307 bytes for each cluster in RAM.
  private static final long HEAP_BYTES_PER_RAM_CLUSTER = 320;

  private static final long HEAP_BASE_BYTES = 64L << 20;
  private static final long DEADLINE_TICK_MILLIS = 100;
  private static final long RETRY_TICK_MILLIS = 1000;

  private final EngineConfig config;
  private final IoWorkers workers;
  private final TieredStore store;
  private final ScheduledThreadPoolExecutor ticker;
  private final HookListener listener = new EventLog(LOG);

  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final Map<String, ServedDisk> disks = new LinkedHashMap<>();

  @GuardedBy("lock")
  private final Map<String, Snapshot> snapshots = new LinkedHashMap<>();

  /// Names of snapshots being taken.
  @GuardedBy("lock")
  private final LinkedHashSet<String> reserved = new LinkedHashSet<>();

  /// The end of the last freeze begun: two freezes never overlap.
  @GuardedBy("lock")
  private CompletableFuture<?> lastFreeze = CompletableFuture.completedFuture(null);

  @GuardedBy("lock")
  private int snapshotNumber;

  @GuardedBy("lock")
  private boolean closed;

  private FleecingEngine(EngineConfig config, IoWorkers workers, TieredStore store) {
    this.config = config;
    this.workers = workers;
    this.store = store;
    this.ticker =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "nbdfleece-ticker");
              thread.setDaemon(true);
              return thread;
            });
    ticker.setRemoveOnCancelPolicy(true);
  }

  /// Opens the store. Fails with a message that names the scratch directory and what to do.
  public static FleecingEngine open(EngineConfig config) throws IOException {
    requireHeap(config);
    IoWorkers workers = new IoWorkers("nbdfleece-io", config.ioThreadCount());
    TieredStore store;
    try {
      store =
          TieredStore.open(
              new StoreConfig(
                  config.clusterBytes(),
                  config.ramBytesMax(),
                  config.scratchDirectory(),
                  config.scratchBytesMax()),
              workers);
    } catch (IOException | RuntimeException e) {
      workers.close();
      throw e;
    }
    FleecingEngine engine = new FleecingEngine(config, workers, store);
    engine.startTicking();
    return engine;
  }

  /// The heap holds the index of the RAM tier; running out of it would take the guests' disks
  /// along.
  private static void requireHeap(EngineConfig config) throws IOException {
    long neededBytes =
        HEAP_BASE_BYTES + config.ramBytesMax() / config.clusterBytes() * HEAP_BYTES_PER_RAM_CLUSTER;
    long heapBytesMax = Runtime.getRuntime().maxMemory();
    if (neededBytes > heapBytesMax) {
      throw new IOException(
          "RAM budget: "
              + config.ramBytesMax() / config.clusterBytes()
              + " clusters need a Java heap of "
              + (neededBytes >> 20)
              + " MiB, but it has "
              + (heapBytesMax >> 20)
              + " MiB: set NBDFLEECE_JAVA_OPTS=-Xmx"
              + ((neededBytes >> 20) + 1)
              + "m, or choose a smaller --ram or a larger --cluster-size");
    }
  }

  private void startTicking() {
    repeat(DEADLINE_TICK_MILLIS, () -> servedDisks().forEach(disk -> disk.hook().expireCopies()));
    repeat(RETRY_TICK_MILLIS, store::retryParked);
  }

  private void repeat(long periodMillis, Runnable task) {
    ScheduledFuture<?> _ =
        ticker.scheduleWithFixedDelay(
            () -> {
              try {
                task.run();
              } catch (RuntimeException | Error e) {
                LOG.log(System.Logger.Level.ERROR, "a periodic task failed", e);
              }
            },
            periodMillis,
            periodMillis,
            TimeUnit.MILLISECONDS);
  }

  /// Opens and locks a raw file or block device. Fails, naming disk and path: no such file, not a
  /// regular file or block device, locked by another process (a [DiskBusyException]), name taken.
  public Disk addDisk(DiskConfig diskConfig) throws IOException {
    LinuxFile.Access access =
        switch (diskConfig.access()) {
          case READ_WRITE -> LinuxFile.Access.READ_WRITE;
          case READ_ONLY -> LinuxFile.Access.READ_ONLY;
        };
    requireFree(diskConfig);
    FileNode node;
    try {
      node = FileNode.open(Path.of(diskConfig.location()), access, workers);
    } catch (ImageInUseException e) {
      throw new DiskBusyException("disk " + diskConfig.name() + ": " + e.getMessage());
    } catch (IOException e) {
      throw new IOException("disk " + diskConfig.name() + ": " + e.getMessage(), e);
    }
    return addDisk(diskConfig, node);
  }

  /// The same with a backend that the caller has opened. The engine owns it from then on: it closes
  /// it at the end, and at once when this fails.
  public Disk addDisk(DiskConfig diskConfig, BlockNode node) throws IOException {
    lock.lock();
    try {
      requireFree(diskConfig);
      requireFit(diskConfig, node);
      FleecingHook hook =
          new FleecingHook(diskConfig.name(), node, store, workers, System::nanoTime, listener);
      ServedDisk disk = new ServedDisk(diskConfig, hook);
      disks.put(diskConfig.name(), disk);
      return disk;
    } catch (IOException e) {
      node.close();
      throw e;
    } catch (IllegalArgumentException e) {
      node.close();
      throw new IOException("disk " + diskConfig.name() + ": " + e.getMessage(), e);
    } finally {
      lock.unlock();
    }
  }

  private void requireFit(DiskConfig diskConfig, BlockNode node) throws IOException {
    if (diskConfig.access() == DiskConfig.Access.READ_WRITE
        && !node.abilities().contains(NodeAbility.WRITE)) {
      throw new IOException(
          "disk " + diskConfig.name() + ": upstream is read-only: serve it with --read-only");
    }
    if (node.blockBytes() > config.clusterBytes()) {
      throw new IOException(
          "disk "
              + diskConfig.name()
              + ": upstream takes whole blocks of "
              + node.blockBytes()
              + " bytes only: choose a --cluster-size of at least that");
    }
  }

  private void requireFree(DiskConfig diskConfig) throws NameTakenException {
    lock.lock();
    try {
      if (disks.containsKey(diskConfig.name())) {
        throw new NameTakenException(
            "two disks are called " + diskConfig.name() + ": name one of them (--disk NAME=PATH)");
      }
    } finally {
      lock.unlock();
    }
  }

  /// The disks, in the order they were added.
  public List<Disk> disks() {
    return List.copyOf(servedDisks());
  }

  /// The disks with their hooks, for whoever exports them.
  public List<ServedDisk> servedDisks() {
    lock.lock();
    try {
      return List.copyOf(disks.values());
    } finally {
      lock.unlock();
    }
  }

  /// The snapshots with their views, for whoever exports them.
  public List<Snapshot> takenSnapshots() {
    lock.lock();
    try {
      return List.copyOf(snapshots.values());
    } finally {
      lock.unlock();
    }
  }

  /// The disk of that name.
  public Optional<ServedDisk> disk(String name) {
    lock.lock();
    try {
      return Optional.ofNullable(disks.get(name));
    } finally {
      lock.unlock();
    }
  }

  /// The snapshot of that name.
  public Optional<Snapshot> takenSnapshot(String name) {
    lock.lock();
    try {
      return Optional.ofNullable(snapshots.get(name));
    } finally {
      lock.unlock();
    }
  }

  /// Freezes the disks at one instant. The future fails with [NoSuchDiskException], or
  /// [NameTakenException], or an IOException when writes in flight did not finish in time.
  public CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request) {
    List<ServedDisk> chosen;
    String name;
    CompletableFuture<?> turn;
    CompletableFuture<Freeze.Frozen> frozen = new CompletableFuture<>();
    lock.lock();
    try {
      if (closed) {
        throw new IOException("the server is shutting down");
      }
      chosen = choose(request.disks());
      name = reserve(request.name());
      turn = lastFreeze;
      lastFreeze = frozen;
    } catch (IOException e) {
      return CompletableFuture.failedFuture(e);
    } finally {
      lock.unlock();
    }
    var _ = turn.whenComplete((before, ignored) -> freeze(request, name, chosen, frozen));
    return frozen
        .thenApply(outcome -> keep(request, name, chosen, outcome))
        .whenComplete((status, error) -> unreserve(name));
  }

  @GuardedBy("lock")
  private List<ServedDisk> choose(List<String> names) throws IOException {
    if (disks.isEmpty()) {
      throw new NoSuchDiskException("there is no disk to freeze");
    }
    if (names.isEmpty()) {
      return List.copyOf(disks.values());
    }
    List<ServedDisk> chosen = new ArrayList<>();
    for (String name : new LinkedHashSet<>(names)) {
      ServedDisk disk = disks.get(name);
      if (disk == null) {
        throw new NoSuchDiskException(
            "no disk is called " + name + " (disks: " + String.join(", ", disks.keySet()) + ")");
      }
      chosen.add(disk);
    }
    return chosen;
  }

  @GuardedBy("lock")
  private String reserve(Optional<String> wanted) throws IOException {
    String name;
    if (wanted.isPresent()) {
      name = wanted.get();
      if (snapshots.containsKey(name) || reserved.contains(name)) {
        throw new NameTakenException(
            "there is a snapshot called " + name + " already: release it, or choose another name");
      }
    } else {
      do {
        name = "snap-" + ++snapshotNumber;
      } while (snapshots.containsKey(name) || reserved.contains(name));
    }
    reserved.add(name);
    return name;
  }

  private void unreserve(String name) {
    lock.lock();
    try {
      reserved.remove(name);
    } finally {
      lock.unlock();
    }
  }

  private void freeze(
      SnapshotRequest request,
      String name,
      List<ServedDisk> chosen,
      CompletableFuture<Freeze.Frozen> frozen) {
    try {
      SnapshotTerms terms =
          new SnapshotTerms(
              name, request.access(), request.onCbwError(), request.cbwTimeout().toNanos());
      Freeze freeze =
          Freeze.start(chosen.stream().map(ServedDisk::hook).toList(), terms, System::nanoTime);
      IOException tooSlow =
          new IOException(
              "snapshot "
                  + name
                  + ": writes in flight did not finish within "
                  + DRAIN_MAX.toSeconds()
                  + " s; nothing was frozen; look for a disk that hangs");
      // On a worker: writes go on there, and the disk may be what hangs.
      ScheduledFuture<?> giveUp =
          ticker.schedule(
              () -> workers.execute(() -> freeze.cancel(tooSlow)),
              DRAIN_MAX.toMillis(),
              TimeUnit.MILLISECONDS);
      var _ =
          freeze
              .frozen()
              .whenComplete(
                  (outcome, error) -> {
                    giveUp.cancel(false);
                    if (error == null) {
                      frozen.complete(outcome);
                    } else {
                      frozen.completeExceptionally(error);
                    }
                  });
    } catch (RuntimeException | Error e) {
      frozen.completeExceptionally(e); // or no later freeze would ever have its turn
    }
  }

  private SnapshotStatus keep(
      SnapshotRequest request, String name, List<ServedDisk> chosen, Freeze.Frozen frozen) {
    List<Snapshot.Part> parts = new ArrayList<>(chosen.size());
    for (int i = 0; i < chosen.size(); i++) {
      parts.add(
          new Snapshot.Part(
              chosen.get(i), frozen.views().get(i), new AtomicInteger(), Optional.empty()));
    }
    Snapshot snapshot =
        new Snapshot(name, Instant.now(), Duration.ofNanos(frozen.heldNanos()), request, parts);
    lock.lock();
    try {
      if (closed) {
        frozen.views().forEach(view -> view.release());
      } else {
        snapshots.put(name, snapshot);
      }
    } finally {
      lock.unlock();
    }
    return snapshot.status();
  }

  /// Ends a snapshot on all its disks and frees its copies. Requests of clients still connected
  /// fail from then on.
  ///
  /// @return the snapshot as it was
  public SnapshotStatus release(String snapshotName) throws IOException {
    Snapshot snapshot;
    lock.lock();
    try {
      snapshot = snapshots.remove(snapshotName);
      if (snapshot == null) {
        throw new NoSuchSnapshotException(
            "no snapshot is called "
                + snapshotName
                + " (snapshots: "
                + (snapshots.isEmpty() ? "none" : String.join(", ", snapshots.keySet()))
                + ")");
      }
    } finally {
      lock.unlock();
    }
    SnapshotStatus status = snapshot.status();
    snapshot.parts().forEach(part -> part.view().release());
    return status;
  }

  /// The same, saying what became of the backup. Needed for a snapshot with a checkpoint.
  public SnapshotStatus release(String snapshotName, ReleaseOutcome outcome) throws IOException {
    throw new UnsupportedOperationException(snapshotName + outcome);
  }

  /// Carries out all steps at one instant, or none. Writes are held up for as long as the slowest
  /// write in flight takes. The future fails with a [io.nbdfleece.fleecing.bitmap.BitmapException]
  /// or what [#snapshot] fails with.
  public CompletableFuture<TransactionResult> transact(List<TransactionAction> actions) {
    throw new UnsupportedOperationException(actions.toString());
  }

  /// What a transaction has done.
  ///
  /// @param snapshot the one that it took
  /// @param heldNanos how long writes were held up
  public record TransactionResult(Optional<SnapshotStatus> snapshot, long heldNanos) {}

  /// The bitmaps of a disk, checkpoints' stretches included, in the order they were made.
  public List<BitmapInfo> bitmaps(String disk) throws NoSuchDiskException {
    throw new UnsupportedOperationException(disk);
  }

  /// The checkpoints of a disk, oldest first.
  public List<CheckpointInfo> checkpoints(String disk) throws NoSuchDiskException {
    throw new UnsupportedOperationException(disk);
  }

  /// What was written since a checkpoint, or what is dirty in a bitmap, as of now: without freezing
  /// anything.
  public GranuleSet dirtySince(String disk, String name) throws IOException {
    throw new UnsupportedOperationException(disk + name);
  }

  /// Takes a bitmap into use: it is busy until that is closed. Fails when it is busy, inconsistent
  /// or not there.
  public BitmapUse useBitmap(BitmapRef bitmap) throws IOException {
    throw new UnsupportedOperationException(bitmap.toString());
  }

  /// Takes a disk away and closes it. Fails when it has clients or snapshots.
  public void removeDisk(String name) throws IOException {
    throw new UnsupportedOperationException(name);
  }

  /// Has `subscriber` told of events, in order, on a thread of the engine's; it must not wait.
  /// Closing what is returned ends that.
  public AutoCloseable subscribe(Consumer<EngineEvent> subscriber) {
    throw new UnsupportedOperationException(subscriber.toString());
  }

  /// The snapshots, oldest first, broken ones included until they are released.
  public List<SnapshotStatus> snapshots() {
    return takenSnapshots().stream().map(Snapshot::status).toList();
  }

  /// RAM and disk tier.
  public StoreStatistics storeStatistics() {
    return store.statistics();
  }

  /// What the engine was opened with.
  public EngineConfig config() {
    return config;
  }

  /// Ends all snapshots, closes the disks (data written so far is synced), frees the store.
  /// Idempotent. No request may be in flight any more.
  @Override
  public void close() throws IOException {
    List<Snapshot> toEnd;
    List<ServedDisk> toClose;
    lock.lock();
    try {
      if (closed) {
        return;
      }
      closed = true;
      toEnd = List.copyOf(snapshots.values());
      toClose = List.copyOf(disks.values());
      snapshots.clear();
      disks.clear();
    } finally {
      lock.unlock();
    }
    ticker.shutdownNow();
    toEnd.forEach(snapshot -> snapshot.parts().forEach(part -> part.view().release()));
    IOException failure = null;
    for (ServedDisk disk : toClose) {
      try {
        disk.hook().close();
      } catch (IOException e) {
        IOException named =
            new IOException("disk " + disk.config().name() + ": " + e.getMessage(), e);
        if (failure == null) {
          failure = named;
        } else {
          failure.addSuppressed(named);
        }
      }
    }
    workers.close(); // first: what they do may still use the store's memory
    try {
      store.close();
    } catch (IOException e) {
      if (failure == null) {
        failure = e;
      } else {
        failure.addSuppressed(e);
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
