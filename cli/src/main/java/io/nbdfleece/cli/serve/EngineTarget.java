// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.control.ControlTarget;
import io.nbdfleece.cli.control.QmpEvents;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.graph.ExportedNodes;
import io.nbdfleece.fleecing.nbd.NamedExport;
import io.nbdfleece.fleecing.nbd.NamedExports;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

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
  private final CommandedExports commanded;

  EngineTarget(
      FleecingEngine engine,
      List<NbdUri> addresses,
      CommandedExports commanded,
      Path scratchDirectory,
      SnapshotDefaults snapshotDefaults,
      Runnable quit) {
    this.engine = engine;
    this.addresses = addresses;
    this.scratchDirectory = scratchDirectory;
    this.snapshotDefaults = snapshotDefaults;
    this.quit = quit;
    this.commanded = commanded;
    this.graph = new BlockGraph(engine, new GraphUpstreams(), new Exported());
  }

  private final class Exported implements ExportedNodes {
    @Override
    public boolean isExported(String node) {
      return exportsOf(node).findAny().isPresent();
    }

    @Override
    public boolean isWritten(String node) {
      return exportsOf(node).anyMatch(NamedExport::writable);
    }

    private Stream<NamedExport> exportsOf(String node) {
      return commanded.exports().exports().stream().filter(export -> export.node().equals(node));
    }
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
    return commanded.exports();
  }

  @Override
  public NbdDoor nbd() {
    return commanded.nbd();
  }

  @Override
  public QmpEvents events() {
    return commanded.events();
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
                logCreated(status);
              } else {
                LOG.log(Level.WARNING, "snapshot: not created: {0}", causeOf(error).getMessage());
              }
            });
  }

  @Override
  public CompletableFuture<FleecingEngine.TransactionResult> transact(
      List<TransactionAction> actions) {
    return engine
        .transact(actions)
        .whenComplete(
            (result, error) -> {
              if (error == null) {
                result.snapshot().ifPresent(EngineTarget::logCreated);
              } else {
                LOG.log(Level.INFO, "transaction: refused: {0}", causeOf(error).getMessage());
              }
            });
  }

  @Override
  public SnapshotStatus release(String name) throws IOException {
    return released(engine.release(name), "");
  }

  @Override
  public SnapshotStatus release(String name, ReleaseOutcome outcome) throws IOException {
    SnapshotStatus status = engine.release(name, outcome);
    String fate =
        switch (outcome) {
          case SUCCESS -> " as a successful backup";
          case FAILED -> " as a failed backup";
        };
    return released(status, fate);
  }

  private static SnapshotStatus released(SnapshotStatus status, String fate) {
    long preservedBytes =
        status.disks().stream().mapToLong(SnapshotStatus.PerDisk::preservedBytes).sum();
    LOG.log(
        Level.INFO,
        "snapshot {0}: released{1}, {2} had been preserved",
        status.name(),
        fate,
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
  public void resizeStore(OptionalLong ramBytesMax, OptionalLong scratchBytesMax)
      throws IOException {
    engine.resizeStore(ramBytesMax, scratchBytesMax);
    LOG.log(
        Level.INFO,
        "cache-resize: {0} RAM, then at most {1} in {2}",
        ByteSize.format(engine.config().ramBytesMax()),
        ByteSize.format(engine.config().scratchBytesMax()),
        scratchDirectory);
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

  private static void logCreated(SnapshotStatus status) {
    LOG.log(
        Level.INFO,
        "snapshot {0} of {1}: created, writes held for {2}",
        status.name(),
        diskNames(status),
        Durations.format(status.freezeTime().toNanos()));
  }

  private static Throwable causeOf(Throwable error) {
    return error.getCause() == null ? error : error.getCause();
  }

  private static String diskNames(SnapshotStatus status) {
    return ShownNames.list(status.disks().stream().map(SnapshotStatus.PerDisk::disk).toList());
  }
}
