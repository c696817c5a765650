// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NotFastException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// One seeded run of two hooks over one store, on one thread with simulated disks, clock and
/// faults: concurrent guest writes, zeroings and discards, snapshots of one disk or both, of all of
/// them or parts, reads, statuses, discards and releases of them, deadlines. Every byte that a
/// snapshot yields is compared with the disk as it was at the freeze.
final class HookSimulation {
  static final int OPERATIONS = 220;
  private static final long DELAY_NANOS_MAX = 1_000_000;

  private final SimulationCase which;
  private final SimulatedWorld world;
  private final SimulatedStores.Plan plan;
  private final ClusterStore store;
  private final Runnable retryParked;
  private final List<SimulatedDisk> disks = new ArrayList<>();
  private final List<FleecingHook> hooks = new ArrayList<>();
  private final List<SimulatedSnapshot> live = new ArrayList<>();
  private final Map<String, OnCbwError> policies = new HashMap<>();

  /// What was told to be lost, by disk and snapshot.
  private final Map<String, Set<Long>> lostOffsets = new HashMap<>();

  private final SimulatedBackup.BufferArena buffers;
  final SimulatedBackup backup;
  private boolean freezing;
  private int guestWritesOpen;
  private int names;
  int refusedWrites;
  int failedWrites;
  int lostClusters;
  int snapshotsTaken;
  int snapshotsBroken;

  HookSimulation(SimulationCase which, SimulatedBackup.BufferArena buffers) {
    this.which = which;
    this.world = new SimulatedWorld(which.seed(), which.faults());
    this.buffers = buffers;
    buffers.reset();
    this.plan = SimulatedStores.plan(world);
    SimulatedStores.Built built = SimulatedStores.build(world, plan);
    this.store = built.store();
    this.retryParked = built.retryParked();
    this.backup = new SimulatedBackup(world, plan.clusterBytes(), store, buffers);
    WriteBrake brake =
        new WriteBrake(world.choice.nextInt(1001), DELAY_NANOS_MAX / 5, new SimulatedTimer(world));
    for (int i = 0; i < 2; i++) {
      int clusters = 2 + world.random.nextInt(14);
      byte[] content =
          new byte[plan.clusterBytes() * clusters - world.random.nextInt(plan.clusterBytes())];
      for (int at = 0; at < content.length; at += plan.clusterBytes()) {
        if (world.chance(0.7)) {
          fill(content, at, Math.min(content.length, at + plan.clusterBytes()));
        }
      }
      SimulatedDisk disk = new SimulatedDisk(world, content, DELAY_NANOS_MAX);
      disks.add(disk);
      hooks.add(
          new FleecingHook(
              "d" + i,
              disk,
              store,
              world.executor(DELAY_NANOS_MAX / 10),
              world::nowNanos,
              new Listener(),
              new WriteTerms(brake, 0)));
    }
  }

  private void fill(byte[] content, int from, int to) {
    byte stamp = (byte) (1 + world.random.nextInt(255));
    for (int i = from; i < to; i++) {
      content[i] = (byte) (stamp + i);
    }
  }

  void run() {
    for (int i = 0; i < OPERATIONS; i++) {
      world.beginOperation(i);
      if (which.kept().get(i)) {
        operate();
      }
      for (int steps = world.choice.nextInt(8); steps > 0 && world.step(); steps--) {
        // time goes on
      }
    }
    world.beginOperation(OPERATIONS);
    world.calmDown();
    settle();
    for (SimulatedSnapshot snapshot : List.copyOf(live)) {
      verifyWhole(snapshot);
    }
    settle();
    for (SimulatedSnapshot snapshot : live) {
      snapshot.view.release();
    }
    live.clear();
    settle();
    assertEquals(0, guestWritesOpen, "guest writes never answered");
    assertEquals(0, backup.readsOpen, "snapshot reads never answered");
    assertEquals(0, backup.prefetchesOpen, "prefetches never answered");
    hooks.forEach(HookSimulation::assertNothingLeft);
    StoreStatistics left = store.statistics();
    assertEquals(0, left.entries(), "entries left in the store (I6)");
    assertEquals(0, left.ramBytes(), "RAM left in use");
    assertEquals(0, left.spareBytes(), "spare copies left");
    assertEquals(0, left.diskBytes(), "scratch space left in use");
    if (!Fault.any(Fault.OF_PRESERVING, world.faults)
        && !Fault.any(Fault.OF_READING, world.faults)) {
      assertEquals(0, refusedWrites, "refused without a fault");
    }
  }

  private static void assertNothingLeft(FleecingHook hook) {
    assertEquals(0, hook.copies().inFlight(), "copies left over");
    hook.lock.lock();
    try {
      assertTrue(hook.ledger.isEmpty(), "epochs left over");
      assertTrue(hook.reads.isEmpty(), "registered reads left over");
      assertFalse(hook.clean.has(0), "clean copies left over");
    } finally {
      hook.lock.unlock();
    }
  }

  /// Runs until nothing happens any more; deadlines and retries come due in between.
  private void settle() {
    for (int round = 0; round < 20; round++) {
      untilIdle();
      retryParked.run();
      hooks.forEach(FleecingHook::expireCopies);
    }
  }

  private void untilIdle() {
    while (world.step()) {
      // time goes on
    }
  }

  private void operate() {
    int what = world.choice.nextInt(100);
    if (what < 50) {
      guestWrite();
    } else if (what < 56) {
      freeze();
    } else if (what < 60) {
      releaseSome();
    } else if (what < 82) {
      someSnapshot(backup::readSome);
    } else if (what < 86) {
      someSnapshot(backup::statusSome);
    } else if (what < 90) {
      someSnapshot(backup::discardSome);
    } else if (what < 94) {
      someSnapshot(backup::prefetchSome);
    } else if (what < 97) {
      hooks.forEach(FleecingHook::expireCopies);
    } else {
      retryParked.run();
    }
  }

  private Optional<PreservedQuota> someQuota() {
    long bytesMax = (1L + world.choice.nextInt(20)) * plan.clusterBytes();
    return chose(0.4) && world.faults.contains(Fault.QUOTA)
        ? Optional.of(new PreservedQuota(bytesMax, used -> {}))
        : Optional.empty();
  }

  private void guestWrite() {
    int which = world.choice.nextInt(2);
    SimulatedDisk disk = disks.get(which);
    int from = world.choice.nextInt(disk.content.length);
    int lengthBytes =
        1 + world.choice.nextInt(Math.min(disk.content.length - from, plan.clusterBytes() * 3));
    Mutation mutation =
        switch (world.choice.nextInt(5)) {
          case 0 ->
              new Mutation.Zero(
                  from,
                  lengthBytes,
                  Mutation.Provisioning.MAY_PUNCH,
                  chose(0.7) ? Mutation.Speed.ANY : Mutation.Speed.FAST_ONLY,
                  Mutation.Durability.CACHED);
          case 1 -> new Mutation.Discard(from, lengthBytes, Mutation.Durability.CACHED);
          default -> {
            ByteBuffer data = buffers.allocate(lengthBytes);
            byte stamp = (byte) world.choice.nextInt(256);
            for (int i = 0; i < lengthBytes; i++) {
              data.put(i, (byte) (stamp ^ i));
            }
            yield new Mutation.Write(from, data, Mutation.Durability.CACHED);
          }
        };
    guestWritesOpen++;
    hooks
        .get(which)
        .apply(
            mutation,
            new CalledOnce() {
              @Override
              void end(@Nullable IOException error) {
                guestWritesOpen--;
                if (error instanceof NotFastException) {
                  assertTrue(freezing || !live.isEmpty(), "not fast without a snapshot");
                } else if (error != null) {
                  checkRefusal(String.valueOf(error.getMessage()));
                }
              }
            });
  }

  private void checkRefusal(String text) {
    if (text.contains(SimulatedDisk.ERROR_TEXT) && world.faults.contains(Fault.DISK_WRITE)) {
      failedWrites++;
    } else {
      assertTrue(
          text.contains("break-guest-write")
              && policies.containsValue(OnCbwError.BREAK_GUEST_WRITE),
          "a guest write failed for another reason: " + text);
      refusedWrites++;
    }
  }

  private boolean chose(double probability) {
    return world.choice.nextDouble() < probability;
  }

  private void freeze() {
    if (freezing || live.size() > 4) {
      return;
    }
    freezing = true;
    List<Integer> chosen =
        switch (world.choice.nextInt(3)) {
          case 0 -> List.of(0);
          case 1 -> List.of(1);
          default -> List.of(0, 1);
        };
    OnCbwError policy = chose(0.7) ? OnCbwError.BREAK_SNAPSHOT : OnCbwError.BREAK_GUEST_WRITE;
    long timeoutNanos =
        world.faults.contains(Fault.DEADLINE) && chose(0.5) ? DELAY_NANOS_MAX / 2 : 0;
    List<Access> all = List.of(Access.values());
    Access access = all.get(world.choice.nextInt(all.size()));
    SnapshotTerms terms =
        new SnapshotTerms("s" + names++, access, policy, timeoutNanos, someQuota());
    policies.put(terms.name(), policy);
    List<byte[]> truth = new ArrayList<>();
    if (chose(0.4)) {
      freezeParts(chosen, terms);
      return;
    }
    Freeze.start(
            chosen.stream().map(hooks::get).toList(),
            terms,
            () -> {
              // Freeze reads the clock last when all epochs have begun and no gate is open yet.
              truth.clear();
              chosen.forEach(which -> truth.add(disks.get(which).content.clone()));
              return world.nowNanos();
            })
        .frozen()
        .thenAccept(
            outcome -> {
              freezing = false;
              snapshotsTaken++;
              for (int i = 0; i < chosen.size(); i++) {
                live.add(
                    new SimulatedSnapshot(
                        outcome.views().get(i),
                        truth.get(i),
                        SnapshotScope.ALL,
                        plan.clusterBytes(),
                        lostOffsets(chosen.get(i), terms.name())));
              }
            })
        .exceptionally(
            error -> {
              throw new AssertionError("freeze failed", error);
            });
  }

  /// Of each disk what some random set of granules wants.
  private void freezeParts(List<Integer> chosen, SnapshotTerms terms) {
    AtomicInteger undrained = new AtomicInteger(chosen.size());
    for (int which : chosen) {
      hooks
          .get(which)
          .closeGate(
              () -> {
                if (undrained.decrementAndGet() == 0) {
                  beginParts(chosen, terms);
                }
              });
    }
  }

  private void beginParts(List<Integer> chosen, SnapshotTerms terms) {
    freezing = false;
    snapshotsTaken++;
    for (int which : chosen) {
      byte[] truth = disks.get(which).content.clone();
      SnapshotScope scope = SimulatedSnapshot.randomScope(world.choice, truth.length);
      live.add(
          new SimulatedSnapshot(
              hooks.get(which).freeze(terms, scope),
              truth,
              scope,
              plan.clusterBytes(),
              lostOffsets(which, terms.name())));
    }
    chosen.forEach(which -> hooks.get(which).openGate());
  }

  private void releaseSome() {
    if (!live.isEmpty() && chose(0.6)) {
      SimulatedSnapshot snapshot = live.remove(world.choice.nextInt(live.size()));
      snapshot.released = true;
      snapshot.view.release();
    }
  }

  private void someSnapshot(java.util.function.Consumer<SimulatedSnapshot> what) {
    if (!live.isEmpty()) {
      what.accept(live.get(world.choice.nextInt(live.size())));
    }
  }

  private void verifyWhole(SimulatedSnapshot snapshot) {
    for (int at = 0; at < snapshot.truth.length; at += plan.clusterBytes()) {
      backup.read(snapshot, at, Math.min(plan.clusterBytes(), snapshot.truth.length - at));
      untilIdle();
    }
    snapshot.checkLost();
  }

  private Set<Long> lostOffsets(int which, String snapshot) {
    return lostOffsets.computeIfAbsent("d" + which + "@" + snapshot, _ -> new HashSet<>());
  }

  private final class Listener implements HookListener {
    @Override
    public void snapshotBroken(String disk, String snapshot, String reason) {
      assertTrue(
          Fault.any(Fault.OF_PRESERVING, world.faults), () -> "broken without a fault: " + reason);
      if (!reason.contains("max-preserved")) { // that breaks it whatever the policy
        assertEquals(OnCbwError.BREAK_SNAPSHOT, policies.get(snapshot), "against its policy");
      }
      assertFalse(reason.isBlank(), "broken for no reason");
      snapshotsBroken++;
    }

    @Override
    public void clusterLost(
        String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason) {
      assertTrue(
          Fault.any(Fault.OF_READING, world.faults), () -> "lost without a fault: " + reason);
      assertFalse(snapshots.isEmpty(), "lost to nobody");
      for (String snapshot : snapshots) {
        assertTrue(lostOffsets(disk.equals("d0") ? 0 : 1, snapshot).add(offsetBytes), "lost twice");
      }
      lostClusters++;
    }
  }
}
