// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ThrottleGroup;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// What the graph needs of the engine. Any thread; methods wait for what they start.
interface GraphEngine {

  /// A disk that is served.
  record GraphDisk(DiskConfig config, long sizeBytes) {
    String name() {
      return config.name();
    }

    /// Whether a guest has it, so that `qom-set` can change what it stands on.
    boolean isDevice() {
      return config.isExported();
    }

    boolean readOnly() {
      return config.access() == DiskConfig.Access.READ_ONLY;
    }
  }

  List<GraphDisk> disks();

  Optional<GraphDisk> disk(String name);

  /// Opens a file or block device.
  void add(DiskConfig config) throws IOException;

  /// @param node closed when this fails
  void add(DiskConfig config, BlockNode node) throws IOException;

  /// Fails as [#remove] would, were these snapshots not there.
  void requireRemovable(String disk, Set<String> ending) throws IOException;

  void remove(String disk) throws IOException;

  /// Has bitmaps of a view from now on.
  void addView(String name, long sizeBytes);

  void removeView(String name);

  /// Whether somebody has a bitmap of that view in use.
  boolean isViewInUse(String name);

  List<BitmapInfo> bitmaps(String disk) throws IOException;

  List<CheckpointInfo> checkpoints(String disk) throws IOException;

  void transact(List<TransactionAction> actions) throws IOException;

  boolean hasSnapshot(String snapshot);

  /// @param outcome for a snapshot with a checkpoint
  void release(String snapshot, Optional<ReleaseOutcome> outcome) throws IOException;

  /// Puts throttles on top of a disk's hook, the last one uppermost, instead of those that are
  /// there.
  void throttle(String disk, List<ThrottleGroup> groups);

  /// Takes a snapshot.
  default void snapshot(SnapshotRequest request) throws IOException {
    transact(List.of(new TransactionAction.TakeSnapshot(request)));
  }
}
