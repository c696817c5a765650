// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.PosixException;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.DiskStatistics;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.NameTakenException;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.NoSuchExportException;
import io.nbdfleece.fleecing.NoSuchSnapshotException;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.nbd.NamedExport;
import io.nbdfleece.fleecing.nbd.NamedExports;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;

/// Two disks, vda and vdb, and snapshots that preserve nothing.
public final class FakeTarget implements ControlTarget {
  final BlockingQueue<ReleaseOutcome> outcomes = new LinkedBlockingQueue<>();
  final BlockingQueue<SnapshotRequest> requests = new LinkedBlockingQueue<>();
  final QmpEvents events = new QmpEvents();
  final BlockingQueue<List<TransactionAction>> transactions = new LinkedBlockingQueue<>();
  final BlockingQueue<NbdAddress> addresses = new LinkedBlockingQueue<>();
  final Map<String, NamedExport> added = new ConcurrentSkipListMap<>();
  final CountDownLatch quit = new CountDownLatch(1);
  private final Map<String, SnapshotStatus> snapshots = new ConcurrentSkipListMap<>();

  @Override
  public Instant started() {
    return Instant.parse("2026-11-21T03:00:00Z");
  }

  private final Optional<FleecingEngine> engine;

  public FakeTarget() {
    engine = Optional.empty();
  }

  /// With a real engine behind what is not faked.
  FakeTarget(FleecingEngine engine) {
    this.engine = Optional.of(engine);
  }

  @Override
  public FleecingEngine engine() {
    return engine.orElseThrow(UnsupportedOperationException::new);
  }

  @Override
  public BlockGraph graph() {
    return new BlockGraph(engine());
  }

  /// snap0 is.
  @Override
  public boolean isReadOnly(String node) {
    return node.equals("snap0");
  }

  @Override
  public void export(String node, boolean writable, BlockGraph.Exporting adding)
      throws IOException {
    adding.add();
  }

  @Override
  public Optional<String> bitmapOwner(String node) {
    return find(node).map(_ -> node);
  }

  @Override
  public boolean isShuttingDown(String id) {
    return false;
  }

  @Override
  public NamedExports exports() {
    throw new UnsupportedOperationException();
  }

  @Override
  public QmpEvents events() {
    return events;
  }

  @Override
  public NbdDoor nbd() {
    return new FakeDoor();
  }

  /// The disks, and `snap0`, a view of vda.
  @Override
  public Optional<BlockGraph.Target> find(String node) {
    return switch (node) {
      case "vda", "vdb" -> Optional.of(new BlockGraph.Target.LiveDisk(node));
      case "snap0" -> Optional.of(new BlockGraph.Target.FrozenDisk("nightly", "vda"));
      default -> Optional.empty();
    };
  }

  @Override
  public List<BlockGraph.NodeInfo> nodes() {
    return List.of(
        new BlockGraph.NodeInfo("vda", "raw", "vda", "/srv/vda.img", false),
        new BlockGraph.NodeInfo("snap0", "snapshot-access", "vda", "/srv/vda.img", true));
  }

  @Override
  public CompletableFuture<FleecingEngine.TransactionResult> transact(
      List<TransactionAction> actions) {
    transactions.add(actions);
    Optional<SnapshotStatus> snapshot = Optional.empty();
    for (TransactionAction action : actions) {
      if (action instanceof TransactionAction.Abort) {
        return CompletableFuture.failedFuture(
            new BitmapException(
                BitmapException.Reason.INVALID, "Transaction aborted using Abort action"));
      }
      if (action instanceof TransactionAction.ClearBitmap clear
          && clear.bitmap().name().equals("inconsistent")) {
        return CompletableFuture.failedFuture(BitmapException.inconsistent("inconsistent"));
      }
      if (action instanceof TransactionAction.ClearBitmap clear
          && clear.bitmap().name().equals("no-room")) {
        return CompletableFuture.failedFuture(
            new PosixException("write /state/vda/bitmaps.new", Errno.ENOSPC));
      }
      if (action instanceof TransactionAction.TakeSnapshot taken) {
        snapshot = Optional.of(snapshot(taken.request()).join());
      }
    }
    return CompletableFuture.completedFuture(new FleecingEngine.TransactionResult(snapshot, 1_000));
  }

  /// One on each disk, and a broken one; one of the view.
  @Override
  public List<BitmapInfo> bitmaps(String owner) {
    if (owner.equals("snap0")) {
      return List.of(new BitmapInfo("own", 65_536, 0, true, false, false, false, false));
    }
    return List.of(
        new BitmapInfo("b0", 65_536, 131_072, true, false, false, false, false),
        new BitmapInfo("bad", 512, 0, false, false, true, true, false));
  }

  @Override
  public void addExport(NamedExport export) {
    added.put(export.id(), export);
  }

  @Override
  public CompletableFuture<Void> removeExport(String id, NamedExports.Removal removal) {
    if (added.remove(id) == null) {
      return CompletableFuture.failedFuture(
          new NoSuchExportException("Export '" + id + "' is not found"));
    }
    return CompletableFuture.runAsync(() -> events.exportDeleted(id));
  }

  @Override
  public List<NamedExport> addedExports() {
    return List.copyOf(added.values());
  }

  private final class FakeDoor implements NbdDoor {
    @Override
    public void start(NbdAddress address) {
      addresses.add(address);
    }

    @Override
    public void stop() throws IOException {
      if (addresses.poll() == null) {
        throw new IOException("NBD server not running");
      }
    }

    @Override
    public boolean running() {
      return !addresses.isEmpty();
    }
  }

  @Override
  public List<Disk> disks() {
    return List.of(new FakeDisk("vda"), new FakeDisk("vdb"));
  }

  @Override
  public CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request) {
    requests.add(request);
    List<String> names = request.disks().isEmpty() ? List.of("vda", "vdb") : request.disks();
    for (String name : names) {
      if (!name.equals("vda") && !name.equals("vdb")) {
        return CompletableFuture.failedFuture(new NoSuchDiskException("no disk \"" + name + "\""));
      }
    }
    String name = request.name().orElse("snap-1");
    SnapshotStatus status =
        new SnapshotStatus(
            name,
            Instant.parse("2026-11-21T03:12:44Z"),
            Duration.ofSeconds(90),
            Duration.ofNanos(1_300_000),
            request.access(),
            request.onCbwError(),
            request.increment(),
            request.lifetime(),
            names.stream().map(disk -> perDisk(disk, name)).toList());
    return snapshots.putIfAbsent(name, status) == null
        ? CompletableFuture.completedFuture(status)
        : CompletableFuture.failedFuture(new NameTakenException("snapshot \"" + name + "\" taken"));
  }

  private static SnapshotStatus.PerDisk perDisk(String disk, String snapshot) {
    return new SnapshotStatus.PerDisk(
        disk,
        disk + "@" + snapshot,
        10L << 30,
        120 << 20,
        64 << 20,
        56 << 20,
        0,
        0,
        List.of(),
        1,
        Optional.empty(),
        Optional.empty(),
        Optional.empty());
  }

  @Override
  public SnapshotStatus release(String name, ReleaseOutcome outcome) throws IOException {
    outcomes.add(outcome);
    return release(name);
  }

  @Override
  public SnapshotStatus release(String name) throws IOException {
    SnapshotStatus status = snapshots.remove(name);
    if (status == null) {
      throw new NoSuchSnapshotException("no snapshot \"" + name + "\"");
    }
    return status;
  }

  @Override
  public List<SnapshotStatus> snapshots() {
    return List.copyOf(snapshots.values());
  }

  @Override
  public Store store() {
    return new Store(
        new StoreStatistics(
            64 << 20, 256 << 20, 0, 56 << 20, 20L << 30, 1920, 120 << 20, 56 << 20, 0, 0, ""),
        Path.of("/var/tmp"));
  }

  @Override
  public List<String> uris(String exportName) {
    return List.of("nbd+unix:///" + exportName + "?socket=/run/nbd.sock");
  }

  @Override
  public SnapshotDefaults snapshotDefaults() {
    return new SnapshotDefaults(
        SnapshotRequest.OnCbwError.BREAK_GUEST_WRITE, Duration.ofSeconds(7));
  }

  @Override
  public void quit() {
    quit.countDown();
  }

  private record FakeDisk(String name) implements Disk {
    @Override
    public DiskConfig config() {
      return new DiskConfig(name, "/srv/" + name + ".img", DiskConfig.Access.READ_WRITE);
    }

    @Override
    public long sizeBytes() {
      return 10L << 30;
    }

    @Override
    public DiskStatistics statistics() {
      return new DiskStatistics(120_332, 0, 1920, 1900, 269_800_000, 3_100_000, 1);
    }
  }
}
