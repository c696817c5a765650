// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.StoreStatistics;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/// The engine behind every front end: disks, their fleecing hooks, snapshots. Skeleton of the
/// contract; to be written.
///
/// **Threads.** All methods may be called by any thread; none holds a guest request up longer than
/// the milliseconds of a freeze.
public final class FleecingEngine implements AutoCloseable {
  private FleecingEngine() {}

  /// Opens the store. Fails with a message that names the scratch directory and what to do.
  public static FleecingEngine open(EngineConfig config) throws IOException {
    throw new IOException("skeleton " + config);
  }

  /// Opens and locks a raw file or block device. Fails, naming disk and path: no such file, not a
  /// regular file or block device, locked by another process (a [DiskBusyException]), name taken.
  public Disk addDisk(DiskConfig config) throws IOException {
    throw new IOException("skeleton " + config);
  }

  /// The disks, in the order they were added.
  public List<Disk> disks() {
    return List.of();
  }

  /// Freezes the disks at one instant. The future fails with [NoSuchDiskException], or
  /// [NameTakenException], or an IOException when writes in flight did not finish in time.
  public CompletableFuture<SnapshotStatus> snapshot(SnapshotRequest request) {
    return CompletableFuture.failedFuture(new IOException("skeleton " + request));
  }

  /// Ends a snapshot on all its disks and frees its copies. Requests of clients still connected
  /// fail from then on. Fails with [NoSuchSnapshotException].
  public SnapshotStatus release(String snapshotName) throws IOException {
    throw new IOException("skeleton " + snapshotName);
  }

  /// The snapshots, oldest first, broken ones included until they are released.
  public List<SnapshotStatus> snapshots() {
    return List.of();
  }

  /// RAM and disk tier.
  public StoreStatistics storeStatistics() {
    throw new IllegalStateException("skeleton");
  }

  /// Ends all snapshots, closes the disks (data written so far is synced), frees the store.
  @Override
  public void close() throws IOException {}
}
