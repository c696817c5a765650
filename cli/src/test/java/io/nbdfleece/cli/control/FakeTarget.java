// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.DiskStatistics;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.NameTakenException;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.NoSuchSnapshotException;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.graph.BlockGraph;
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
  final BlockingQueue<SnapshotRequest> requests = new LinkedBlockingQueue<>();
  final QmpEvents events = new QmpEvents();
  final CountDownLatch quit = new CountDownLatch(1);
  private final Map<String, SnapshotStatus> snapshots = new ConcurrentSkipListMap<>();

  @Override
  public Instant started() {
    return Instant.parse("2026-11-21T03:00:00Z");
  }

  @Override
  public FleecingEngine engine() {
    throw new UnsupportedOperationException();
  }

  @Override
  public BlockGraph graph() {
    throw new UnsupportedOperationException();
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
    throw new UnsupportedOperationException();
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
        1,
        Optional.empty(),
        Optional.empty(),
        Optional.empty());
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
