// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.SimulatedServing;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.bitmap.TrackingNode;
import io.nbdfleece.fleecing.hook.Drain;
import io.nbdfleece.fleecing.hook.Fault;
import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.HookLeftovers;
import io.nbdfleece.fleecing.hook.HookListener;
import io.nbdfleece.fleecing.hook.PreservedQuota;
import io.nbdfleece.fleecing.hook.SimulatedDisk;
import io.nbdfleece.fleecing.hook.SimulatedSnapshot;
import io.nbdfleece.fleecing.hook.SimulatedStores;
import io.nbdfleece.fleecing.hook.SimulatedTimer;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import io.nbdfleece.fleecing.hook.SnapshotScope;
import io.nbdfleece.fleecing.hook.SnapshotTerms;
import io.nbdfleece.fleecing.hook.SnapshotView;
import io.nbdfleece.fleecing.hook.WriteBrake;
import io.nbdfleece.fleecing.hook.WriteTerms;
import io.nbdfleece.fleecing.nbd.SimulatedExports;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What is served: two disks with their hooks over one store, and their snapshots, all simulated
/// below the hook.
final class SimulatedEngine {
  private static final int DISKS = 2;
  private static final int CLUSTERS_MAX = 14;

  /// Of a disk for requests that are too long for a connection's common buffer.
  private static final int LARGE_CLUSTERS = 100;

  private static final double LARGE_SHARE = 0.03;
  private static final int SNAPSHOTS_MAX = 4;
  private static final long DELAY_NANOS_MAX = 500_000;

  private final SimulatedWorld world;
  private final Wrongs wrongs;
  private final SimulatedExports exports;
  private final SimulatedStores.Plan plan;
  private final ClusterStore store;
  private final Runnable retryParked;
  private final List<Guarded> disks = new ArrayList<>();
  private final List<Frozen> snapshots = new ArrayList<>();
  private final Map<String, OnCbwError> policies = new HashMap<>();
  private final Map<String, Set<Long>> lostOffsets = new HashMap<>();
  private boolean freezing;
  private int names;
  int snapshotsTaken;
  int snapshotsBroken;
  int clustersLost;

  /// A disk, and what it may hold.
  record Guarded(
      String name, SimulatedDisk disk, ServedDisk served, DiskHistory history, DirtyWatch dirty) {
    int sizeBytes() {
      return disk.content.length;
    }

    FleecingHook hook() {
      return served.hook();
    }
  }

  /// A disk's part of a snapshot, and what it has to show.
  record Frozen(Snapshot snapshot, Snapshot.Part part, SimulatedSnapshot shown) {
    String exportName() {
      return SimulatedExports.nameOf(snapshot, part);
    }

    boolean hasEnded() {
      return shown.released || shown.view.brokenBecause().isPresent();
    }
  }

  SimulatedEngine(SimulatedWorld world, Wrongs wrongs, SimulatedExports exports) {
    this.world = world;
    this.wrongs = wrongs;
    this.exports = exports;
    this.plan = SimulatedStores.plan(world);
    SimulatedStores.Built built = SimulatedStores.build(world, plan);
    this.store = built.store();
    this.retryParked = built.retryParked();
    WriteBrake brake =
        new WriteBrake(world.choice.nextInt(1001), DELAY_NANOS_MAX / 5, new SimulatedTimer(world));
    for (int i = 0; i < DISKS; i++) {
      Guarded disk = disk("d" + i, brake);
      disks.add(disk);
      exports.add(disk.served);
    }
  }

  private Guarded disk(String name, WriteBrake brake) {
    int clusters =
        world.chance(LARGE_SHARE)
            ? LARGE_CLUSTERS / 2 + world.random.nextInt(LARGE_CLUSTERS / 2)
            : 2 + world.random.nextInt(CLUSTERS_MAX);
    byte[] content =
        new byte[plan.clusterBytes() * clusters - world.random.nextInt(plan.clusterBytes())];
    world.random.nextBytes(content);
    for (int at = 0; at < content.length; at += plan.clusterBytes()) {
      if (world.chance(0.3)) {
        int end = Math.min(content.length, at + plan.clusterBytes());
        Arrays.fill(content, at, end, (byte) 0);
      }
    }
    SimulatedDisk disk = new SimulatedDisk(world, content, DELAY_NANOS_MAX);
    TrackingNode tracked = new TrackingNode(disk);
    FleecingHook hook =
        new FleecingHook(
            name,
            tracked,
            store,
            world.executor(DELAY_NANOS_MAX / 10),
            world::nowNanos,
            new Listener(),
            new WriteTerms(brake, 0));
    return new Guarded(
        name,
        disk,
        SimulatedServing.disk(name, hook, tracked),
        new DiskHistory(content),
        new DirtyWatch(disk, tracked));
  }

  List<Guarded> disks() {
    return disks;
  }

  /// Those that have not been released.
  List<Frozen> snapshots() {
    return snapshots;
  }

  int clusterBytes() {
    return plan.clusterBytes();
  }

  /// Whether a guest's change may fail: for the disk's sake or a snapshot's.
  boolean mayRefuseWrites() {
    return world.faults.contains(Fault.DISK_WRITE)
        || (policies.containsValue(OnCbwError.BREAK_GUEST_WRITE)
            && (Fault.any(Fault.OF_PRESERVING, world.faults)
                || Fault.any(Fault.OF_READING, world.faults)));
  }

  private boolean chose(double probability) {
    return world.choice.nextDouble() < probability;
  }

  /// Takes a snapshot of one disk or of both.
  void freeze() {
    if (freezing || snapshots.size() > SNAPSHOTS_MAX) {
      return;
    }
    freezing = true;
    int first = world.choice.nextInt(DISKS);
    List<Guarded> chosen = chose(0.4) ? disks : disks.subList(first, first + 1);
    SnapshotTerms terms = someTerms();
    policies.put(terms.name(), terms.onCbwError());
    var _ =
        Drain.start(
                chosen.stream().map(Guarded::hook).toList(),
                () -> chosen.stream().map(disk -> freeze(disk, terms)).toList(),
                world::nowNanos)
            .outcome()
            .whenComplete(
                (outcome, error) -> {
                  freezing = false;
                  if (error != null) {
                    wrongs.add("a freeze failed: " + error);
                  } else {
                    taken(chosen, terms, outcome.yielded());
                  }
                });
  }

  /// A disk of a snapshot, and what it has to show.
  @SuppressWarnings("ArrayRecordComponent") // never compared, never changed
  private record View(SnapshotView view, byte[] truth) {}

  /// The disk is drained.
  private View freeze(Guarded disk, SnapshotTerms terms) {
    disk.dirty.renew(world);
    return new View(disk.hook().freeze(terms), disk.disk.content.clone());
  }

  private SnapshotTerms someTerms() {
    List<Access> all = List.of(Access.values());
    boolean deadline = world.faults.contains(Fault.DEADLINE) && chose(0.5);
    long quotaBytes = (1L + world.choice.nextInt(20)) * plan.clusterBytes();
    return new SnapshotTerms(
        "s" + names++,
        all.get(world.choice.nextInt(all.size())),
        chose(0.7) ? OnCbwError.BREAK_SNAPSHOT : OnCbwError.BREAK_GUEST_WRITE,
        deadline ? DELAY_NANOS_MAX / 2 : 0,
        chose(0.4) && world.faults.contains(Fault.QUOTA)
            ? Optional.of(new PreservedQuota(quotaBytes, used -> {}))
            : Optional.empty());
  }

  private void taken(List<Guarded> chosen, SnapshotTerms terms, List<View> views) {
    snapshotsTaken++;
    Snapshot snapshot =
        SimulatedServing.snapshot(
            terms,
            chosen.stream().map(Guarded::served).toList(),
            views.stream().map(View::view).toList(),
            world::nowNanos);
    for (int i = 0; i < chosen.size(); i++) {
      Snapshot.Part part = snapshot.parts().get(i);
      snapshots.add(
          new Frozen(
              snapshot,
              part,
              new SimulatedSnapshot(
                  part.view(),
                  views.get(i).truth,
                  SnapshotScope.ALL,
                  plan.clusterBytes(),
                  lostOffsets(chosen.get(i).name, terms.name()))));
      exports.add(snapshot, part);
    }
  }

  /// Releases one part of a snapshot; its clients stay and get errors.
  void release(Frozen frozen) {
    snapshots.remove(frozen);
    exports.remove(frozen.snapshot, frozen.part);
    frozen.shown.released = true;
    frozen.shown.view.release();
  }

  /// What happens by itself every so often.
  void tick() {
    retryParked.run();
    disks.forEach(disk -> disk.hook().expireCopies());
  }

  /// When all clients have gone and all snapshots have been released.
  void checkNothingLeft() {
    for (Guarded disk : disks) {
      assertEquals(0, disk.served.users().clientCount(), "clients of a disk");
      assertEquals(List.of(), HookLeftovers.of(disk.hook()), "left in the hook");
      disk.dirty.check();
      disk.history.checkRead(disk.history.now(), 0, disk.disk.content);
      disk.history.checkForced(disk.disk.forced);
    }
    StoreStatistics left = store.statistics();
    assertEquals(0, left.entries(), "entries left in the store");
    assertEquals(0, left.ramBytes(), "RAM left in use");
    assertEquals(0, left.spareBytes(), "spare copies left");
    assertEquals(0, left.diskBytes(), "scratch space left in use");
  }

  private Set<Long> lostOffsets(String disk, String snapshot) {
    return lostOffsets.computeIfAbsent(disk + "@" + snapshot, _ -> new HashSet<>());
  }

  /// Called by the product, which may survive an error that is thrown here.
  private final class Listener implements HookListener {
    @Override
    public void snapshotBroken(String disk, String snapshot, String reason) {
      snapshotsBroken++;
      if (!Fault.any(Fault.OF_PRESERVING, world.faults)) {
        wrongs.add("broken without a fault: " + reason);
      }
    }

    @Override
    public void clusterLost(
        String disk, List<String> names, long offsetBytes, long lengthBytes, String reason) {
      clustersLost++;
      names.forEach(name -> lostOffsets(disk, name).add(offsetBytes));
      if (!Fault.any(Fault.OF_READING, world.faults)) {
        wrongs.add("lost without a fault: " + reason);
      }
    }
  }
}
