// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.SnapshotStatus;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ThrottleGroup;
import io.nbdfleece.fleecing.block.ThrottleNode;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/// The real engine, as the graph sees it.
final class EngineDisks implements GraphEngine {
  private final FleecingEngine engine;

  EngineDisks(FleecingEngine engine) {
    this.engine = engine;
  }

  @Override
  public List<GraphDisk> disks() {
    return engine.servedDisks().stream().map(EngineDisks::seen).toList();
  }

  @Override
  public Optional<GraphDisk> disk(String name) {
    return engine.disk(name).map(EngineDisks::seen);
  }

  private static GraphDisk seen(ServedDisk disk) {
    return new GraphDisk(disk.config(), disk.sizeBytes());
  }

  @Override
  public void add(DiskConfig config) throws IOException {
    var _ = engine.addDisk(config);
  }

  @Override
  public void add(DiskConfig config, BlockNode node) throws IOException {
    var _ = engine.addDisk(config, node);
  }

  @Override
  public void requireRemovable(String disk, Set<String> ending) throws IOException {
    engine.requireRemovable(disk, ending);
  }

  @Override
  public void addView(String name, long sizeBytes) {
    engine.views().add(name, sizeBytes);
  }

  @Override
  public void removeView(String name) {
    engine.views().remove(name);
  }

  @Override
  public boolean isViewInUse(String name) {
    return engine.views().isInUse(name);
  }

  @Override
  public void remove(String disk) throws IOException {
    engine.removeDisk(disk);
  }

  @Override
  public List<BitmapInfo> bitmaps(String disk) throws NoSuchDiskException {
    return engine.bitmaps(disk);
  }

  @Override
  public List<CheckpointInfo> checkpoints(String disk) throws NoSuchDiskException {
    return engine.checkpoints(disk);
  }

  @Override
  public void transact(List<TransactionAction> actions) throws IOException {
    FleecingEngine.TransactionResult _ = await(engine.transact(actions));
  }

  @Override
  public void snapshot(SnapshotRequest request) throws IOException {
    SnapshotStatus _ = await(engine.snapshot(request));
  }

  @Override
  public boolean hasSnapshot(String snapshot) {
    return engine.takenSnapshot(snapshot).isPresent();
  }

  @Override
  public void release(String snapshot, Optional<ReleaseOutcome> outcome) throws IOException {
    SnapshotStatus _ =
        outcome.isPresent() ? engine.release(snapshot, outcome.get()) : engine.release(snapshot);
  }

  @Override
  public void throttle(String disk, List<ThrottleGroup> groups) {
    engine
        .disk(disk)
        .ifPresent(
            served -> {
              BlockNode before = served.top();
              BlockNode top = served.hook();
              for (ThrottleGroup group : groups) {
                top = new ThrottleNode(top, group);
              }
              served.replaceTop(top);
              while (before instanceof ThrottleNode taken) { // the upper ones let go into the lower
                taken.leave();
                before = taken.child();
              }
            });
  }

  private static <T> T await(CompletableFuture<T> future) throws IOException {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException cause) {
        throw cause;
      }
      if (e.getCause() instanceof IllegalArgumentException cause) {
        throw cause;
      }
      throw new IOException("engine: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while a snapshot or transaction was under way", e);
    }
  }
}
