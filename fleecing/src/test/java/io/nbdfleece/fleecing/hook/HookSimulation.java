// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NotFastException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// One seeded run of two hooks over one store, on one thread with simulated disks, clock and
/// faults: concurrent guest writes, zeroings and discards, snapshots of one disk or both, of all of
/// them or parts, reads, statuses, discards and releases of them, deadlines. Every byte that a
/// snapshot yields is compared with the disk as it was at the freeze.
final class HookSimulation {
  private static final int OPERATIONS = 220;
  private static final long DELAY_NANOS_MAX = 1_000_000;

  private final SimulatedWorld world;
  private final SimulatedStores.Plan plan;
  private final ClusterStore store;
  private final Runnable retryParked;
  private final List<SimulatedDisk> disks = new ArrayList<>();
  private final List<FleecingHook> hooks = new ArrayList<>();
  private final List<SimulatedSnapshot> live = new ArrayList<>();
  private final List<String> broken = new ArrayList<>();
  private final BufferArena buffers;
  private final boolean readErrors;
  private boolean freezing;
  private int guestWritesOpen;
  private int readsOpen;
  private int names;
  int refusedWrites;
  int lostClusters;
  int snapshotsTaken;
  int readsVerified;
  int partialReads;
  int snapshotsBroken;
  int prefetches;
  long prefetchedBytesMax;
  private int prefetchesOpen;

  HookSimulation(long seed, BufferArena buffers) {
    this.world = new SimulatedWorld(seed);
    this.buffers = buffers;
    buffers.reset();
    this.plan = SimulatedStores.plan(world);
    SimulatedStores.Built built = SimulatedStores.build(world, plan);
    this.store = built.store();
    this.retryParked = built.retryParked();
    this.readErrors = plan.faults() && world.chance(0.5);
    WriteBrake brake =
        new WriteBrake(world.random.nextInt(1001), DELAY_NANOS_MAX / 5, new SimulatedTimer(world));
    for (int i = 0; i < 2; i++) {
      int clusters = 2 + world.random.nextInt(14);
      byte[] content =
          new byte[plan.clusterBytes() * clusters - world.random.nextInt(plan.clusterBytes())];
      for (int at = 0; at < content.length; at += plan.clusterBytes()) {
        if (world.chance(0.7)) {
          fill(content, at, Math.min(content.length, at + plan.clusterBytes()));
        }
      }
      SimulatedDisk disk =
          new SimulatedDisk(world, content, DELAY_NANOS_MAX, readErrors ? 0.02 : 0);
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
      operate();
      for (int steps = world.random.nextInt(8); steps > 0 && world.step(); steps--) {
        // time goes on
      }
    }
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
    assertEquals(0, readsOpen, "snapshot reads never answered");
    assertEquals(0, prefetchesOpen, "prefetches never answered");
    for (FleecingHook hook : hooks) {
      assertEquals(0, hook.copiesInFlight(), "copies left over");
    }
    StoreStatistics left = store.statistics();
    assertEquals(0, left.entries(), "entries left in the store (I6)");
    assertEquals(0, left.ramBytes(), "RAM left in use");
    if (!plan.faults()) {
      assertEquals(List.of(), broken, "broken without a fault");
      assertEquals(0, refusedWrites, "refused without a fault");
      assertEquals(0, lostClusters, "lost without a fault");
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
    int what = world.random.nextInt(100);
    if (what < 50) {
      guestWrite();
    } else if (what < 56) {
      freeze();
    } else if (what < 60) {
      releaseSome();
    } else if (what < 82) {
      someSnapshot(this::readSome);
    } else if (what < 86) {
      someSnapshot(this::statusSome);
    } else if (what < 90) {
      someSnapshot(this::discardSome);
    } else if (what < 94) {
      someSnapshot(this::prefetchSome);
    } else if (what < 97) {
      hooks.forEach(FleecingHook::expireCopies);
    } else {
      retryParked.run();
    }
  }

  private Optional<PreservedQuota> someQuota() {
    long bytesMax = (1L + world.random.nextInt(20)) * plan.clusterBytes();
    return plan.faults() && world.chance(0.2)
        ? Optional.of(new PreservedQuota(bytesMax, used -> {}))
        : Optional.empty();
  }

  private void guestWrite() {
    int which = world.random.nextInt(2);
    SimulatedDisk disk = disks.get(which);
    int from = world.random.nextInt(disk.content.length);
    int lengthBytes =
        1 + world.random.nextInt(Math.min(disk.content.length - from, plan.clusterBytes() * 3));
    Mutation mutation =
        switch (world.random.nextInt(5)) {
          case 0 ->
              new Mutation.Zero(
                  from,
                  lengthBytes,
                  Mutation.Provisioning.MAY_PUNCH,
                  world.chance(0.7) ? Mutation.Speed.ANY : Mutation.Speed.FAST_ONLY,
                  Mutation.Durability.CACHED);
          case 1 -> new Mutation.Discard(from, lengthBytes, Mutation.Durability.CACHED);
          default -> {
            ByteBuffer data = buffers.allocate(lengthBytes);
            byte stamp = (byte) world.random.nextInt(256);
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
                  refusedWrites++;
                  assertTrue(
                      String.valueOf(error.getMessage()).contains("break-guest-write"),
                      "a guest write failed for another reason: " + error);
                }
              }
            });
  }

  private void freeze() {
    if (freezing || live.size() > 4) {
      return;
    }
    freezing = true;
    List<Integer> chosen =
        switch (world.random.nextInt(3)) {
          case 0 -> List.of(0);
          case 1 -> List.of(1);
          default -> List.of(0, 1);
        };
    OnCbwError policy =
        world.chance(0.7) ? OnCbwError.BREAK_SNAPSHOT : OnCbwError.BREAK_GUEST_WRITE;
    long timeoutNanos = plan.faults() && world.chance(0.3) ? DELAY_NANOS_MAX / 2 : 0;
    List<Access> all = List.of(Access.values());
    Access access = all.get(world.random.nextInt(all.size()));
    SnapshotTerms terms =
        new SnapshotTerms("s" + names++, access, policy, timeoutNanos, someQuota());
    List<byte[]> truth = new ArrayList<>();
    if (world.chance(0.4)) {
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
                        plan.clusterBytes()));
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
      SnapshotScope scope = SimulatedSnapshot.randomScope(world.random, truth.length);
      live.add(
          new SimulatedSnapshot(
              hooks.get(which).freeze(terms, scope), truth, scope, plan.clusterBytes()));
    }
    chosen.forEach(which -> hooks.get(which).openGate());
  }

  private void releaseSome() {
    if (!live.isEmpty() && world.chance(0.6)) {
      SimulatedSnapshot snapshot = live.remove(world.random.nextInt(live.size()));
      snapshot.released = true;
      snapshot.view.release();
    }
  }

  private void someSnapshot(java.util.function.Consumer<SimulatedSnapshot> what) {
    if (!live.isEmpty()) {
      what.accept(live.get(world.random.nextInt(live.size())));
    }
  }

  private void readSome(SimulatedSnapshot snapshot) {
    int from = world.random.nextInt(snapshot.truth.length);
    int rest = snapshot.truth.length - from;
    read(snapshot, from, 1 + world.random.nextInt(Math.min(rest, plan.clusterBytes() * 4)));
  }

  private void read(SimulatedSnapshot snapshot, int from, int lengthBytes) {
    ByteBuffer target = buffers.allocate(lengthBytes);
    boolean releasedBefore = snapshot.anyReleased(from, lengthBytes);
    boolean endedBefore = snapshot.released || snapshot.view.brokenBecause().isPresent();
    readsOpen++;
    snapshot.view.read(
        from,
        target,
        new CalledOnce() {
          @Override
          void end(@Nullable IOException error) {
            readsOpen--;
            if (error != null) {
              checkExcuse(error, snapshot, from, lengthBytes);
              return;
            }
            assertFalse(releasedBefore, "a released cluster was read");
            assertFalse(endedBefore, "an ended snapshot yielded data (I7)");
            assertTrue(
                snapshot.view.brokenBecause().isEmpty() && !snapshot.released,
                "a read in flight yielded data after the end (I7)");
            byte[] got = new byte[lengthBytes];
            target.get(0, got);
            assertFalse(
                snapshot.outside() == Outside.ERROR && snapshot.anyOutside(from, lengthBytes),
                "what is outside was read");
            byte[] expected = Arrays.copyOfRange(snapshot.shown, from, from + lengthBytes);
            assertEquals(
                -1,
                Arrays.mismatch(expected, got),
                () -> "wrong byte in " + snapshot.view.terms() + " in a read at " + from);
            readsVerified++;
            partialReads += snapshot.anyOutside(from, lengthBytes) ? 1 : 0;
            if (snapshot.access() == Access.READ_ONCE) {
              snapshot.release(from, lengthBytes);
            }
          }
        });
  }

  private void checkExcuse(
      IOException error, SimulatedSnapshot snapshot, int from, int lengthBytes) {
    String text = String.valueOf(error.getMessage());
    boolean ended = snapshot.released || snapshot.view.brokenBecause().isPresent();
    boolean excused = error instanceof SnapshotEndedException && ended;
    if (text.contains("was released by its client")) {
      excused |= snapshot.anyReleased(from, lengthBytes);
    }
    if (text.contains("is outside of the bitmap")) {
      excused |= snapshot.outside() == Outside.ERROR && snapshot.anyOutside(from, lengthBytes);
    }
    excused |= text.contains("is lost") && lostClusters > 0;
    excused |= text.contains("simulated EIO") && (readErrors || plan.faults());
    excused |= text.contains("damaged") && plan.faults();
    assertTrue(excused, "a read failed without reason: " + error);
  }

  private void statusSome(SimulatedSnapshot snapshot) {
    int from = world.random.nextInt(snapshot.truth.length);
    int lengthBytes = 1 + world.random.nextInt(snapshot.truth.length - from);
    int extentsMax = 1 + world.random.nextInt(20);
    snapshot.checkSources(from, lengthBytes, extentsMax);
    snapshot.view.status(
        from,
        lengthBytes,
        extentsMax,
        new ExtentsCompletion() {
          @Override
          public void succeeded(List<BlockExtent> extents) {
            assertFalse(extents.isEmpty(), "no extent");
            assertTrue(
                snapshot.check(from, extents) <= from + lengthBytes, "more status than asked");
          }

          @Override
          public void failed(IOException error) {
            assertTrue(error instanceof SnapshotEndedException, "status failed: " + error);
          }
        });
  }

  private void discardSome(SimulatedSnapshot snapshot) {
    if (snapshot.access() != Access.DISCARD) {
      return;
    }
    int from = world.random.nextInt(snapshot.truth.length);
    int lengthBytes =
        1 + world.random.nextInt(Math.min(snapshot.truth.length - from, plan.clusterBytes() * 3));
    snapshot.view.discard(
        from,
        lengthBytes,
        new CalledOnce() {
          @Override
          void end(@Nullable IOException error) {
            if (error == null) {
              snapshot.release(from, lengthBytes);
            } else {
              assertTrue(error instanceof SnapshotEndedException, "discard failed: " + error);
            }
          }
        });
  }

  private void prefetchSome(SimulatedSnapshot snapshot) {
    int from = world.random.nextInt(snapshot.truth.length);
    int lengthBytes = 1 + world.random.nextInt(snapshot.truth.length - from);
    long waitsBefore = store.statistics().slotWaitsTotal();
    prefetchesOpen++;
    snapshot.view.prefetch(
        from,
        lengthBytes,
        new CalledOnce() {
          @Override
          void end(@Nullable IOException error) {
            prefetchesOpen--;
            assertTrue(
                error == null || error instanceof SnapshotEndedException,
                "a prefetch failed: " + error);
            prefetches++;
          }
        });
    assertEquals(waitsBefore, store.statistics().slotWaitsTotal(), "a prefetch waits for room");
    prefetchedBytesMax = Math.max(prefetchedBytesMax, store.statistics().spareBytes());
  }

  private void verifyWhole(SimulatedSnapshot snapshot) {
    for (int at = 0; at < snapshot.truth.length; at += plan.clusterBytes()) {
      read(snapshot, at, Math.min(plan.clusterBytes(), snapshot.truth.length - at));
      untilIdle();
    }
  }

  private final class Listener implements HookListener {
    @Override
    public void snapshotBroken(String disk, String snapshot, String reason) {
      broken.add(reason);
      snapshotsBroken++;
    }

    @Override
    public void clusterLost(String disk, long offsetBytes, long lengthBytes, String reason) {
      assertTrue(readErrors, "lost without a read error");
      lostClusters++;
    }
  }

  /// Direct buffers for one run, all taken back at the start of the next.
  static final class BufferArena {
    private final ByteBuffer slab = ByteBuffer.allocateDirect(16 << 20);
    private int used;

    void reset() {
      used = 0;
    }

    ByteBuffer allocate(int lengthBytes) {
      ByteBuffer buffer = slab.slice(used, lengthBytes);
      used += lengthBytes;
      return buffer;
    }
  }
}
