// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.nbd.NamedExport;
import io.nbdfleece.fleecing.nbd.NamedExports;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;

/// What the control socket controls. Any thread, many at once.
public interface ControlTarget {

  /// When the server started.
  Instant started();

  /// What does the work.
  FleecingEngine engine();

  /// The nodes by name.
  BlockGraph graph();

  /// The exports that were added.
  NamedExports exports();

  /// The NBD server that was started by a command, beside those of `serve`.
  NbdDoor nbd();

  /// Where clients of the control socket are told what happens.
  QmpEvents events();

  /// What a command means by a node's or device's name.
  default Optional<BlockGraph.Target> find(String nodeOrDevice) {
    return graph().find(nodeOrDevice);
  }

  /// Whose bitmaps those of a node or device are; as [BlockGraph#bitmapOwner] says.
  default Optional<String> bitmapOwner(String nodeOrDevice) {
    return graph().bitmapOwner(nodeOrDevice);
  }

  /// The nodes, disks first.
  default List<BlockGraph.NodeInfo> nodes() throws IOException {
    return graph().nodes();
  }

  /// Carries out all steps at one instant, or none; as the engine says.
  default CompletableFuture<FleecingEngine.TransactionResult> transact(
      List<TransactionAction> actions) {
    return engine().transact(actions);
  }

  /// The bitmaps of a disk or view; as the engine says.
  default List<BitmapInfo> bitmaps(String owner) throws IOException {
    return engine().bitmaps(owner);
  }

  /// Adds an export; as [NamedExports] says.
  default void addExport(NamedExport export) throws IOException {
    exports().add(export);
  }

  /// Takes an export away; as [NamedExports] says.
  default CompletableFuture<Void> removeExport(String id, NamedExports.Removal removal) {
    return exports().remove(id, removal);
  }

  /// Whether an export only waits for its clients to go.
  default boolean isShuttingDown(String id) {
    return exports().isShuttingDown(id);
  }

  /// Has `adding` export a node; as [BlockGraph#export] says.
  default void export(String node, boolean writable, BlockGraph.Exporting adding)
      throws IOException {
    graph().export(node, writable, adding);
  }

  /// Whether the node, other than its disk, is read-only.
  default boolean isReadOnly(String node) {
    return graph().isReadOnly(node);
  }

  /// The exports that were added, oldest first.
  default List<NamedExport> addedExports() {
    return exports().exports();
  }

  /// The disks, in the order they were given.
  List<Disk> disks();

  /// Freezes disks; as the engine says.
  CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request);

  /// Ends a snapshot; as the engine says.
  SnapshotStatus release(String name) throws IOException;

  /// The same, saying what became of the backup.
  SnapshotStatus release(String name, ReleaseOutcome outcome) throws IOException;

  /// The snapshots, oldest first.
  List<SnapshotStatus> snapshots();

  /// RAM and disk tier.
  Store store();

  /// Gives RAM and disk tier other sizes; as the engine says.
  default void resizeStore(OptionalLong ramBytesMax, OptionalLong scratchBytesMax)
      throws IOException {
    engine().resizeStore(ramBytesMax, scratchBytesMax);
  }

  /// NBD URIs of an export, one per address served, ready to paste.
  List<String> uris(String exportName);

  /// What a snapshot gets that does not say it.
  SnapshotDefaults snapshotDefaults();

  /// Ends the server: returns at once, the end comes later.
  void quit();

  /// `nbd-server-start` and `nbd-server-stop`.
  interface NbdDoor {

    /// Opens [ControlTarget#exports] to clients at one more address. Fails when there is such a
    /// server already, and when the address cannot be listened on.
    ///
    /// @param address as QEMU's `SocketAddress`
    void start(NbdAddress address) throws IOException;

    /// Closes it and deletes the exports. Fails when there is none.
    void stop() throws IOException;

    boolean running();
  }

  /// Where `nbd-server-start` listens.
  ///
  /// @param connectionsMax 0 = no limit
  /// @param handshakeMax for a client to open an export; zero = no limit
  /// @param tls whether every client must encrypt, with the credentials of `serve`
  record NbdAddress(
      Optional<Path> unix,
      Optional<InetSocketAddress> inet,
      int connectionsMax,
      Duration handshakeMax,
      boolean tls) {}

  /// The cluster store and where its disk tier lives.
  record Store(StoreStatistics statistics, Path scratchDirectory) {}

  /// Defaults given to `serve`.
  record SnapshotDefaults(SnapshotRequest.OnCbwError onCbwError, Duration cbwTimeout) {}
}
