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
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Disks, bitmaps and chains of checkpoints without any content; writes down what it is told.
final class FakeEngine implements GraphEngine {
  static final long DISK_BYTES = 64 << 20;

  final List<String> log = new ArrayList<>();
  final Map<String, List<BitmapInfo>> bitmaps = new LinkedHashMap<>();
  final Map<String, SnapshotRequest> snapshots = new LinkedHashMap<>();
  final Map<String, List<ThrottleGroup>> throttles = new LinkedHashMap<>();
  private final Map<String, List<CheckpointInfo>> checkpoints = new LinkedHashMap<>();
  private final Map<String, GraphDisk> disks = new LinkedHashMap<>();
  final Set<String> usedViews = new HashSet<>();
  String failingSnapshot = "";

  /// Whose success is refused, as a broken one's is.
  String brokenSnapshot = "";

  /// That cannot be released at all, as when the state directory is full.
  String stuckSnapshot = "";

  void serve(String name) {
    put(new DiskConfig(name, "/srv/" + name + ".img", DiskConfig.Access.READ_WRITE), DISK_BYTES);
  }

  private void put(DiskConfig config, long sizeBytes) {
    disks.put(config.name(), new GraphDisk(config, sizeBytes));
    bitmaps.put(config.name(), new ArrayList<>());
    checkpoints.put(config.name(), new ArrayList<>());
  }

  void addBitmap(String disk, String name, boolean inconsistent) {
    list(bitmaps, disk)
        .add(new BitmapInfo(name, 65536, 0, true, false, false, inconsistent, false));
  }

  void spoil(String disk, String checkpoint) {
    list(checkpoints, disk)
        .replaceAll(c -> c.name().equals(checkpoint) ? checkpoint(disk, checkpoint, "", true) : c);
  }

  List<String> checkpointNames(String disk) {
    return list(checkpoints, disk).stream().map(CheckpointInfo::name).toList();
  }

  List<String> bitmapNames(String disk) {
    return list(bitmaps, disk).stream().map(BitmapInfo::name).toList();
  }

  SnapshotRequest taken(String snapshot) {
    SnapshotRequest request = snapshots.get(snapshot);
    if (request == null) {
      throw new IllegalArgumentException("no snapshot " + snapshot);
    }
    return request;
  }

  List<ThrottleGroup> throttlesOf(String disk) {
    return list(throttles, disk);
  }

  private static <T> List<T> list(Map<String, List<T>> map, String key) {
    List<T> found = map.get(key);
    if (found == null) {
      throw new IllegalArgumentException("no disk " + key);
    }
    return found;
  }

  private static CheckpointInfo checkpoint(
      String disk, String name, String pending, boolean inconsistent) {
    return new CheckpointInfo(
        disk,
        name,
        Instant.EPOCH,
        Optional.empty(),
        65536,
        0,
        0,
        pending.isEmpty() ? Optional.empty() : Optional.of(pending),
        false,
        inconsistent);
  }

  @Override
  public List<GraphDisk> disks() {
    return List.copyOf(disks.values());
  }

  @Override
  public Optional<GraphDisk> disk(String name) {
    return Optional.ofNullable(disks.get(name));
  }

  @Override
  public void add(DiskConfig config) throws IOException {
    log.add("open " + config.name() + " " + config.access());
    put(config, Files.size(Path.of(config.location())));
  }

  @Override
  public void add(DiskConfig config, BlockNode node) {
    log.add("add " + config.name() + " " + config.location() + " " + config.access());
    put(config, node.sizeBytes());
  }

  @Override
  public void requireRemovable(String disk, Set<String> ending) throws IOException {
    for (Map.Entry<String, SnapshotRequest> taken : snapshots.entrySet()) {
      if (taken.getValue().disks().contains(disk) && !ending.contains(taken.getKey())) {
        throw new IOException("disk " + disk + " has snapshots");
      }
    }
  }

  @Override
  public void addView(String name, long sizeBytes) {
    bitmaps.put(name, new ArrayList<>());
  }

  @Override
  public void removeView(String name) {
    bitmaps.remove(name);
  }

  @Override
  public boolean isViewInUse(String name) {
    return usedViews.contains(name);
  }

  @Override
  public void remove(String disk) throws IOException {
    requireRemovable(disk, Set.of());
    log.add("remove " + disk);
    disks.remove(disk);
  }

  @Override
  public List<BitmapInfo> bitmaps(String disk) {
    return List.copyOf(list(bitmaps, disk));
  }

  @Override
  public List<CheckpointInfo> checkpoints(String disk) {
    return List.copyOf(list(checkpoints, disk));
  }

  @Override
  public void transact(List<TransactionAction> actions) throws IOException {
    for (TransactionAction action : actions) {
      switch (action) {
        case TransactionAction.AddBitmap add ->
            addBitmap(add.bitmap().owner(), add.bitmap().name(), false);
        case TransactionAction.RemoveBitmap remove ->
            list(bitmaps, remove.bitmap().owner())
                .removeIf(known -> known.name().equals(remove.bitmap().name()));
        case TransactionAction.MarkDirty mark ->
            log.add("mark " + mark.bitmap().owner() + " " + mark.bitmap().name());
        case TransactionAction.DeleteCheckpoint(String disk, String name) ->
            list(checkpoints, disk).removeIf(known -> known.name().equals(name));
        case TransactionAction.TakeSnapshot(SnapshotRequest request) -> take(request);
        case TransactionAction.ClearBitmap _,
            TransactionAction.EnableBitmap _,
            TransactionAction.DisableBitmap _,
            TransactionAction.MergeBitmaps _,
            TransactionAction.Abort _ ->
            throw new IOException("not expected: " + action);
      }
    }
  }

  private void take(SnapshotRequest request) throws IOException {
    String name = request.name().orElseThrow();
    if (name.equals(failingSnapshot) || snapshots.containsKey(name)) {
      throw new IOException("snapshot " + name + ": refused");
    }
    log.add("snapshot " + name + " of " + String.join(" ", request.disks()));
    snapshots.put(name, request);
    for (String disk : request.disks()) {
      request
          .increment()
          .checkpoint()
          .ifPresent(
              started -> list(checkpoints, disk).add(checkpoint(disk, started, name, false)));
    }
  }

  @Override
  public boolean hasSnapshot(String snapshot) {
    return snapshots.containsKey(snapshot);
  }

  @Override
  public void release(String snapshot, Optional<ReleaseOutcome> outcome) throws IOException {
    if (snapshot.equals(brokenSnapshot) && outcome.equals(Optional.of(ReleaseOutcome.SUCCESS))) {
      throw new IOException("snapshot " + snapshot + " is broken");
    }
    if (snapshot.equals(stuckSnapshot)) {
      throw new IOException("snapshot " + snapshot + ": no space left on device");
    }
    SnapshotRequest request = snapshots.remove(snapshot);
    if (request == null) {
      throw new IllegalStateException("no snapshot " + snapshot);
    }
    log.add("release " + snapshot + outcome.map(o -> " " + o).orElse(""));
    for (String disk : request.disks()) {
      list(checkpoints, disk)
          .removeIf(
              c ->
                  c.pendingSnapshot().equals(Optional.of(snapshot))
                      && !outcome.equals(Optional.of(ReleaseOutcome.SUCCESS)));
      list(checkpoints, disk)
          .replaceAll(
              c ->
                  c.pendingSnapshot().equals(Optional.of(snapshot))
                      ? checkpoint(disk, c.name(), "", c.inconsistent())
                      : c);
    }
  }

  @Override
  public void throttle(String disk, List<ThrottleGroup> groups) {
    throttles.put(disk, groups);
  }
}
