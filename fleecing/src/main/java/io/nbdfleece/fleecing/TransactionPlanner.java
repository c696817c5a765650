// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.BitmapViews.BitmapOwner;
import io.nbdfleece.fleecing.TransactionPlan.PlannedSnapshot;
import io.nbdfleece.fleecing.TransactionPlan.Step;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.BitmapWork;
import io.nbdfleece.fleecing.bitmap.CheckpointChain;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Makes steps of actions: looks up the disks and views that they name and reserves the snapshot's
/// name. Used once, by one thread.
final class TransactionPlanner {
  private final Disks disks;
  private final BitmapViews views;
  private final Snapshots snapshots;
  private final List<Step> steps = new ArrayList<>();
  private final Set<ServedDisk> concerned = new LinkedHashSet<>();
  private final Set<DiskTracking> concernedViews = new LinkedHashSet<>();
  private final Set<BitmapRef> names = new LinkedHashSet<>();
  private Optional<PlannedSnapshot> snapshot = Optional.empty();

  TransactionPlanner(Disks disks, BitmapViews views, Snapshots snapshots) {
    this.disks = disks;
    this.views = views;
    this.snapshots = snapshots;
  }

  /// @throws NoSuchDiskException for a disk that is not there
  TransactionPlan plan(List<TransactionAction> actions) throws IOException {
    try {
      for (TransactionAction action : actions) {
        steps.add(step(action));
      }
    } catch (IOException | RuntimeException e) {
      snapshot.ifPresent(planned -> snapshots.unreserve(planned.name()));
      throw e;
    }
    return new TransactionPlan(
        steps, List.copyOf(concerned), List.copyOf(concernedViews), names, snapshot);
  }

  /// What becomes of the checkpoint of a snapshot when that ends.
  static TransactionPlan settle(Snapshot snapshot, String checkpoint, ReleaseOutcome outcome) {
    List<Step> steps = new ArrayList<>();
    List<ServedDisk> disks = new ArrayList<>();
    Set<BitmapRef> names = new LinkedHashSet<>();
    for (Snapshot.Part part : snapshot.parts()) {
      ServedDisk disk = part.disk();
      disks.add(disk);
      names.add(new BitmapRef(disk.config().name(), checkpoint));
      steps.add(
          pass -> {
            DiskTracking tracking = disk.tracking();
            DiskBitmaps now = pass.bitmaps(tracking);
            pass.replace(
                tracking,
                switch (outcome) {
                  case SUCCESS -> CheckpointChain.confirm(now, checkpoint);
                  case FAILED -> CheckpointChain.undo(now, checkpoint, pass.work(tracking));
                });
          });
    }
    return new TransactionPlan(steps, disks, List.of(), names, Optional.empty());
  }

  private Step step(TransactionAction action) throws IOException {
    return switch (action) {
      case TransactionAction.AddBitmap add -> {
        DiskBitmaps.NewBitmap wanted =
            new DiskBitmaps.NewBitmap(
                add.bitmap().name(), add.granularityBytes(), add.persistent(), add.disabled());
        yield change(add.bitmap(), (bitmaps, work) -> bitmaps.add(wanted, work));
      }
      case TransactionAction.RemoveBitmap(BitmapRef bitmap) ->
          change(bitmap, (bitmaps, work) -> bitmaps.remove(bitmap.name(), work));
      case TransactionAction.ClearBitmap(BitmapRef bitmap) ->
          change(bitmap, (bitmaps, work) -> bitmaps.clear(bitmap.name(), work));
      case TransactionAction.EnableBitmap(BitmapRef bitmap) ->
          change(bitmap, (bitmaps, work) -> bitmaps.enable(bitmap.name(), work));
      case TransactionAction.DisableBitmap(BitmapRef bitmap) ->
          change(bitmap, (bitmaps, work) -> bitmaps.disable(bitmap.name(), work));
      case TransactionAction.MarkDirty mark ->
          change(
              mark.bitmap(),
              (bitmaps, work) -> bitmaps.mark(mark.bitmap().name(), mark.ranges(), work));
      case TransactionAction.DeleteCheckpoint(String disk, String checkpoint) ->
          change(
              new BitmapRef(disk, checkpoint),
              (bitmaps, work) -> CheckpointChain.delete(bitmaps, checkpoint, work));
      case TransactionAction.MergeBitmaps merge -> merge(merge);
      case TransactionAction.TakeSnapshot(SnapshotRequest request) -> take(request);
      case TransactionAction.Abort() ->
          _ -> {
            throw new BitmapException(
                BitmapException.Reason.INVALID, "Transaction aborted using Abort action");
          };
    };
  }

  private interface Change {
    DiskBitmaps of(DiskBitmaps bitmaps, BitmapWork work) throws IOException;
  }

  private DiskTracking concern(BitmapRef bitmap) throws NoSuchDiskException {
    names.add(bitmap);
    Optional<DiskTracking> view = views.find(bitmap.owner()).map(BitmapOwner::tracking);
    if (view.isPresent()) {
      concernedViews.add(view.get());
      return view.get();
    }
    ServedDisk disk = disks.require(bitmap.owner());
    concerned.add(disk);
    return disk.tracking();
  }

  private Step change(BitmapRef bitmap, Change change) throws NoSuchDiskException {
    DiskTracking owner = concern(bitmap);
    return pass -> pass.replace(owner, change.of(pass.bitmaps(owner), pass.work(owner)));
  }

  private Step merge(TransactionAction.MergeBitmaps merge) throws NoSuchDiskException {
    DiskTracking target = concern(merge.target());
    List<DiskTracking> sources = new ArrayList<>();
    for (BitmapRef source : merge.sources()) {
      sources.add(concern(source));
    }
    return pass -> {
      DiskBitmaps to = pass.bitmaps(target);
      var _ = to.require(merge.target().name());
      List<GranuleSet> sets = new ArrayList<>();
      for (int i = 0; i < sources.size(); i++) {
        DiskTracking from = sources.get(i);
        String name = merge.sources().get(i).name();
        sets.add(pass.bitmaps(from).mergeSource(name, to.sizeBytes(), pass.work(from)));
      }
      pass.replace(target, to.merge(merge.target().name(), sets, pass.work(target)));
    };
  }

  private static int granularityOf(DiskBitmaps bitmaps, Optional<String> since) {
    return since
        .flatMap(bitmaps::find)
        .map(TrackedBitmap::granularityBytes)
        .orElseGet(() -> CheckpointChain.granularityOf(bitmaps.sizeBytes()));
  }

  private Step take(SnapshotRequest request) throws IOException {
    if (snapshot.isPresent()) {
      throw new BitmapException(
          BitmapException.Reason.INVALID, "a transaction takes at most one snapshot");
    }
    List<ServedDisk> chosen = disks.choose(request.disks());
    SnapshotRequest.Increment increment = request.increment();
    for (ServedDisk disk : chosen) {
      String diskName = disk.config().name();
      increment.checkpoint().ifPresent(name -> names.add(new BitmapRef(diskName, name)));
      increment.sinceOf(diskName).ifPresent(name -> names.add(new BitmapRef(diskName, name)));
    }
    String name = snapshots.reserve(request.name());
    snapshot = Optional.of(new PlannedSnapshot(name, request, chosen));
    concerned.addAll(chosen);
    return pass -> {
      for (ServedDisk disk : chosen) {
        DiskTracking tracking = disk.tracking();
        BitmapWork work = pass.work(tracking);
        Optional<String> since = increment.sinceOf(disk.config().name());
        if (since.isPresent()) {
          pass.wanted(disk, CheckpointChain.since(pass.bitmaps(tracking), since.get(), work));
        }
        if (increment.bitmaps() == SnapshotRequest.Bitmaps.FREE) {
          int granularityBytes = granularityOf(pass.bitmaps(tracking), since);
          pass.sinceFreeze(disk, work.fresh(granularityBytes, false).bits());
        }
        if (increment.checkpoint().isPresent()) {
          pass.replace(
              tracking,
              CheckpointChain.start(
                  pass.bitmaps(tracking), increment.checkpoint().get(), name, work));
        }
      }
    };
  }
}
