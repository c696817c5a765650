// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What begins and ends snapshots, all of it at once: each round a few of them in random company.
/// `-Dtest.seed=N` repeats the choices (not the threads), `-Dtest.rounds=N` plays more.
@Timeout(300)
final class EndRacesTest {
  private static final String BASE = "c0";
  private static final List<String> DISKS = List.of("vda", "vdb");

  private final Queue<EngineEvent> events = new ConcurrentLinkedQueue<>();

  /// Granules whose write was acknowledged, by disk.
  private final Map<String, Set<Integer>> written = new ConcurrentHashMap<>();

  /// The NBD server is drained before the engine is closed: no guest writes then.
  private final ReentrantReadWriteLock guests = new ReentrantReadWriteLock();

  /// What releases that succeeded said, by snapshot.
  private final Map<String, ReleaseOutcome> released = new ConcurrentHashMap<>();

  /// Checkpoints that somebody tried to delete.
  private final Set<String> deleted = ConcurrentHashMap.newKeySet();

  private void play(EngineRig rig, Random random, int round) throws Exception {
    var _ = rig.engine().subscribe(events::add);
    begin(rig, "s" + round + "-0", random);
    begin(rig, "s" + round + "-1", random);
    List<Callable<Boolean>> actors = new ArrayList<>();
    for (int i = 2; i < 8; i++) {
      actors.add(actor(rig, random.nextInt(9), round + "-" + i, new Random(random.nextLong())));
    }
    CyclicBarrier start = new CyclicBarrier(actors.size());
    try (ExecutorService threads = Executors.newCachedThreadPool()) {
      List<Future<Boolean>> running = new ArrayList<>();
      for (Callable<Boolean> actor : actors) {
        running.add(
            threads.submit(
                () -> {
                  start.await();
                  return mayBeRefused(actor);
                }));
      }
      for (Future<Boolean> each : running) {
        boolean _ = each.get(60, TimeUnit.SECONDS); // an error here is no refusal
      }
    }
  }

  /// A refusal says why.
  private static boolean mayBeRefused(Callable<Boolean> actor) throws Exception {
    try {
      return actor.call();
    } catch (IOException e) {
      assertTrue(e.getMessage() != null && !e.getMessage().contains("internal"), "" + e);
      return false;
    } catch (NoSuchElementException e) {
      return false; // the rig's way to say that a disk is not there now
    }
  }

  private Callable<Boolean> actor(EngineRig rig, int kind, String id, Random random) {
    return switch (kind) {
      case 0, 1 -> () -> begin(rig, "s" + id, random);
      case 2 -> () -> release(rig, random, ReleaseOutcome.SUCCESS);
      case 3 -> () -> release(rig, random, ReleaseOutcome.FAILED);
      case 4 ->
          () -> {
            rig.nowNanos.addAndGet(Duration.ofMinutes(2).toNanos());
            rig.engine().tickLifetimes();
            return true;
          };
      case 5 ->
          () -> {
            rig.engine().removeDisk("vdb");
            var _ =
                rig.engine()
                    .addDisk(
                        new DiskConfig(
                            "vdb", rig.file("vdb").toString(), DiskConfig.Access.READ_WRITE));
            return true;
          };
      case 6 ->
          () -> {
            guests.writeLock().lock();
            try {
              rig.engine().close();
            } finally {
              guests.writeLock().unlock();
            }
            return true;
          };
      case 7 -> () -> deleteCheckpoint(rig, random);
      default -> () -> write(rig, random);
    };
  }

  private boolean begin(EngineRig rig, String name, Random random) throws IOException {
    SnapshotRequest.Lifetime lifetime =
        random.nextBoolean()
            ? SnapshotRequest.Lifetime.UNTIL_RELEASED
            : new SnapshotRequest.Lifetime(Optional.of(Duration.ofMinutes(1)), Optional.empty());
    String[] disks = random.nextBoolean() ? new String[] {"vda"} : new String[] {"vda", "vdb"};
    Optional<String> checkpoint =
        random.nextInt(4) == 0 ? Optional.empty() : Optional.of(checkpointOf(name));
    try {
      var _ =
          EngineRig.get(
              rig.engine()
                  .snapshot(
                      EngineRig.request(name, checkpoint, Optional.of(BASE), lifetime, disks)));
      return true;
    } catch (NoSuchDiskException e) {
      return false;
    }
  }

  private static String checkpointOf(String snapshot) {
    return "c" + snapshot;
  }

  private boolean release(EngineRig rig, Random random, ReleaseOutcome outcome) throws IOException {
    List<SnapshotStatus> there = rig.engine().snapshots();
    if (there.isEmpty()) {
      return false;
    }
    String name = there.get(random.nextInt(there.size())).name();
    var _ = rig.engine().release(name, outcome);
    ReleaseOutcome before = released.put(name, outcome);
    assertEquals(Optional.empty(), Optional.ofNullable(before), name + " was released twice");
    return true;
  }

  private boolean deleteCheckpoint(EngineRig rig, Random random) throws IOException {
    String disk = DISKS.get(random.nextInt(DISKS.size()));
    List<String> there =
        rig.engine().checkpoints(disk).stream()
            .map(CheckpointInfo::name)
            .filter(name -> !name.equals(BASE))
            .toList();
    if (there.isEmpty()) {
      return false;
    }
    String name = there.get(random.nextInt(there.size()));
    deleted.add(name);
    var _ = rig.transact(new TransactionAction.DeleteCheckpoint(disk, name));
    return true;
  }

  private boolean write(EngineRig rig, Random random) throws IOException {
    for (int i = 0; i < 10; i++) {
      String disk = DISKS.get(random.nextInt(DISKS.size()));
      int granule = random.nextInt(EngineRig.SIZE / EngineRig.GRANULE);
      ServedDisk served = rig.disk(disk);
      guests.readLock().lock();
      try {
        if (served.users().entered()) { // like a connection: else the disk has gone
          rig.touch(disk, granule);
          Set<Integer> of = written.computeIfAbsent(disk, _ -> ConcurrentHashMap.newKeySet());
          boolean _ = of.add(granule);
        }
      } finally {
        served.users().left();
        guests.readLock().unlock();
      }
    }
    return true;
  }

  @Test
  void eachSnapshotEndsOnceAndNoMarkIsLost(@TempDir Path directory) throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("EndRacesTest: -Dtest.seed=" + seed);
    Random random = new Random(seed);
    int rounds = Integer.getInteger("test.rounds", 60);
    try (EngineRig rig = new EngineRig(directory, true, "vda", "vdb")) {
      var _ = rig.take("full", BASE);
      var _ = rig.engine().release("full", ReleaseOutcome.SUCCESS);
      for (int round = 0; round < rounds; round++) {
        play(rig, random, round);
        if (!rig.engine().disks().isEmpty()) { // nobody has closed it
          endTheRest(rig);
        }
        rig.restart();
        check(rig);
      }
    }
  }

  private void endTheRest(EngineRig rig) throws IOException {
    for (SnapshotStatus left : rig.engine().snapshots()) {
      try {
        var _ = rig.engine().release(left.name(), ReleaseOutcome.FAILED);
        var _ = released.put(left.name(), ReleaseOutcome.FAILED);
      } catch (NoSuchSnapshotException e) {
        System.out.println(left.name() + " ends by itself just now");
      }
    }
    // Endings by themselves may be under way, which a removal of the disk waits for.
    Awaitility.await().until(() -> rig.engine().snapshots().isEmpty());
    Awaitility.await().until(() -> rig.engine().storeStatistics().entries() == 0);
  }

  private void check(EngineRig rig) throws IOException {
    Map<String, EngineEvent.SnapshotCreated> created = new HashMap<>();
    Map<String, EngineEvent.SnapshotEnded> ended = new HashMap<>();
    for (EngineEvent event : events) {
      switch (event) {
        case EngineEvent.SnapshotCreated one ->
            assertTrue(created.put(one.snapshot().name(), one) == null, "created twice: " + one);
        case EngineEvent.SnapshotEnded one -> {
          assertTrue(created.containsKey(one.snapshot()), "ended before it was created: " + one);
          assertTrue(ended.put(one.snapshot(), one) == null, "ended twice: " + one);
        }
        default -> throw new AssertionError("not expected: " + event);
      }
    }
    assertEquals(created.keySet(), ended.keySet());
    events.clear();
    ended.values().forEach(end -> checkOutcome(rig, created.get(end.snapshot()), end));
    released.clear();
    deleted.clear();
    for (String disk : DISKS) {
      for (CheckpointInfo checkpoint : rig.engine().checkpoints(disk)) {
        assertEquals(Optional.empty(), checkpoint.pendingSnapshot(), checkpoint.name());
      }
      Set<Integer> of = written.getOrDefault(disk, Set.of());
      assertTrue(rig.dirty(disk, BASE).containsAll(of), disk + " lacks a mark of " + of);
    }
  }

  private void checkOutcome(
      EngineRig rig, EngineEvent.@Nullable SnapshotCreated created, EngineEvent.SnapshotEnded end) {
    if (created == null) {
      throw new AssertionError("never created: " + end);
    }
    Optional<String> checkpoint = created.snapshot().increment().checkpoint();
    ReleaseOutcome said = released.get(end.snapshot());
    if (said != null && checkpoint.isPresent()) {
      assertEquals(Optional.of(said == ReleaseOutcome.SUCCESS), end.success(), "" + end);
    }
    if (checkpoint.isPresent() && !deleted.contains(checkpoint.get())) {
      for (SnapshotStatus.PerDisk disk : created.snapshot().disks()) {
        assertEquals(end.success(), Optional.of(stands(rig, disk.disk(), checkpoint.get())));
      }
    }
  }

  private static boolean stands(EngineRig rig, String disk, String checkpoint) {
    try {
      return rig.engine().checkpoints(disk).stream()
          .anyMatch(info -> info.name().equals(checkpoint));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
