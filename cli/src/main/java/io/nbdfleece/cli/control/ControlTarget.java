// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/// What the control socket controls. Any thread, many at once.
public interface ControlTarget {

  /// When the server started.
  Instant started();

  /// The disks, in the order they were given.
  List<Disk> disks();

  /// Freezes disks; as the engine says.
  CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request);

  /// Ends a snapshot; as the engine says.
  SnapshotStatus release(String name) throws IOException;

  /// The snapshots, oldest first.
  List<SnapshotStatus> snapshots();

  /// RAM and disk tier.
  Store store();

  /// NBD URIs of an export, one per address served, ready to paste.
  List<String> uris(String exportName);

  /// What a snapshot gets that does not say it.
  SnapshotDefaults snapshotDefaults();

  /// Ends the server: returns at once, the end comes later.
  void quit();

  /// The cluster store and where its disk tier lives.
  record Store(StoreStatistics statistics, Path scratchDirectory) {}

  /// Defaults given to `serve`.
  record SnapshotDefaults(SnapshotRequest.OnCbwError onCbwError, Duration cbwTimeout) {}
}
