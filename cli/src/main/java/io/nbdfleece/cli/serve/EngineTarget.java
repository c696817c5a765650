// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.nbd.NamedExports;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

/// Lets the control socket control the engine, and logs what it did.
final class EngineTarget implements ControlTarget {
  private static final System.Logger LOG = System.getLogger("nbdfleece.control");

  private final FleecingEngine engine;
  private final List<NbdUri> addresses;
  private final Path scratchDirectory;
  private final SnapshotDefaults snapshotDefaults;
  private final Runnable quit;
  private final Instant started = Instant.now();
  private final BlockGraph graph;
  private final NamedExports exports;

  EngineTarget(
      FleecingEngine engine,
      List<NbdUri> addresses,
      Path scratchDirectory,
      SnapshotDefaults snapshotDefaults,
      Runnable quit) {
    this.engine = engine;
    this.addresses = addresses;
    this.scratchDirectory = scratchDirectory;
    this.snapshotDefaults = snapshotDefaults;
    this.quit = quit;
    this.exports = new NamedExports(engine, id -> LOG.log(Level.INFO, "export {0}: deleted", id));
    this.graph = new BlockGraph(engine, new GraphUpstreams(), this::isExported);
  }

  private boolean isExported(String node) {
    return exports.exports().stream().anyMatch(export -> export.node().equals(node));
  }

  @Override
  public Instant started() {
    return started;
  }

  @Override
  public FleecingEngine engine() {
    return engine;
  }

  @Override
  public BlockGraph graph() {
    return graph;
  }

  @Override
  public NamedExports exports() {
    return exports;
  }

  @Override
  public NbdDoor nbd() {
    throw new UnsupportedOperationException();
  }

  @Override
  public List<Disk> disks() {
    return engine.disks();
  }

  @Override
  public CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request) {
    return engine
        .snapshot(request)
        .whenComplete(
            (status, error) -> {
              if (error == null) {
                LOG.log(
                    Level.INFO,
                    "snapshot {0}: created of {1}, writes held for {2}",
                    status.name(),
                    diskNames(status),
                    Durations.format(status.freezeTime().toNanos()));
              } else {
                Throwable cause = error.getCause() == null ? error : error.getCause();
                LOG.log(Level.WARNING, "snapshot: not created: {0}", cause.getMessage());
              }
            });
  }

  @Override
  public SnapshotStatus release(String name) throws IOException {
    SnapshotStatus status = engine.release(name);
    long preservedBytes =
        status.disks().stream().mapToLong(SnapshotStatus.PerDisk::preservedBytes).sum();
    LOG.log(
        Level.INFO,
        "snapshot {0}: released, {1} had been preserved",
        name,
        ByteSize.format(preservedBytes));
    return status;
  }

  @Override
  public List<SnapshotStatus> snapshots() {
    return engine.snapshots();
  }

  @Override
  public Store store() {
    return new Store(engine.storeStatistics(), scratchDirectory);
  }

  @Override
  public List<String> uris(String exportName) {
    return addresses.stream()
        .map(address -> address.withExportName(exportName).toString())
        .toList();
  }

  @Override
  public SnapshotDefaults snapshotDefaults() {
    return snapshotDefaults;
  }

  @Override
  public void quit() {
    LOG.log(Level.INFO, "quit: asked for on the control socket");
    quit.run();
  }

  private static String diskNames(SnapshotStatus status) {
    return status.disks().stream()
        .map(SnapshotStatus.PerDisk::disk)
        .collect(Collectors.joining(", "));
  }
}
