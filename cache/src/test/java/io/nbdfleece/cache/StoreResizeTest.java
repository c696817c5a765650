// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.ManualExecutor;
import io.nbdfleece.cache.posix.Outcome;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A store whose tiers get other sizes while it is in use, on one thread, and how full it says it
/// is.
@Timeout(60)
final class StoreResizeTest {
  private static final int CLUSTER = 4096;

  private final SimulatedSlotFile file = new SimulatedSlotFile(CLUSTER, new Random(1));
  private final ManualExecutor executor = new ManualExecutor();

  private TieredStore store(int ramSlots, int diskSlots) {
    return new TieredStore(
        new StoreConfig(
            CLUSTER, (long) ramSlots * CLUSTER, Path.of("/scratch"), (long) diskSlots * CLUSTER),
        file,
        executor);
  }

  private static void resize(TieredStore store, int ramSlots, int diskSlots) throws IOException {
    store.resize((long) ramSlots * CLUSTER, (long) diskSlots * CLUSTER);
  }

  private static SlotOutcome acquire(TieredStore store) {
    SlotOutcome outcome = new SlotOutcome();
    store.acquire(1, outcome);
    return outcome;
  }

  private static int commit(TieredStore store, SlotOutcome acquired, int value) throws IOException {
    ClusterStore.RamSlot slot = acquired.slot();
    ByteBuffer buffer = slot.buffer();
    while (buffer.hasRemaining()) {
      buffer.put((byte) value);
    }
    return store.commit(slot);
  }

  private static List<Integer> commitMany(TieredStore store, int from, int end) throws IOException {
    List<Integer> entries = new ArrayList<>();
    for (int i = from; i < end; i++) {
      entries.add(commit(store, acquire(store), i));
    }
    return entries;
  }

  private void settle() {
    while (executor.pending() > 0 || file.pendingCount() > 0) {
      executor.runAll();
      if (file.pendingCount() > 0) {
        file.completeOne();
      }
    }
  }

  private void assertHolds(TieredStore store, List<Integer> entries) throws IOException {
    for (int i = 0; i < entries.size(); i++) {
      ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
      store.pin(entries.get(i));
      Outcome done = new Outcome();
      store.read(entries.get(i), 0, target, done);
      settle();
      done.await();
      store.unpin(entries.get(i));
      assertEquals((byte) i, target.get(17));
    }
  }

  @Test
  void aStoreInRamAloneIsFullWhenItsSlotsAreTakenAndTakesMoreWhenItHasGrown() throws IOException {
    TieredStore store = store(10, 0);
    List<Integer> entries = new ArrayList<>(commitMany(store, 0, 8));
    assertEquals(800, store.filledPermille());
    entries.addAll(commitMany(store, 8, 10));
    assertEquals(1000, store.filledPermille());
    assertThrows(StoreFullException.class, acquire(store)::slot);
    resize(store, 20, 0);
    assertEquals(500, store.filledPermille());
    entries.addAll(commitMany(store, 10, 20));
    assertHolds(store, entries);
    assertEquals(20 * CLUSTER, store.statistics().ramBytesMax());
    assertEquals(20 * CLUSTER, store.statistics().ramBytes());
  }

  @Test
  void whoWaitsForASlotGetsItWhenRamGrows() throws IOException {
    TieredStore store = store(8, 100);
    List<Integer> entries = commitMany(store, 0, 8);
    SlotOutcome waiting = acquire(store);
    assertFalse(waiting.isDone());
    resize(store, 9, 100);
    assertTrue(waiting.isDone());
    assertEquals(9, store.statistics().ramBytes() / CLUSTER);
    store.abandon(waiting.slot());
    settle();
    assertHolds(store, entries);
  }

  @Test
  void whatIsParkedIsSpilledWhenTheDiskTierGrows() throws IOException {
    TieredStore store = store(8, 2);
    List<Integer> entries = new ArrayList<>(commitMany(store, 0, 8));
    settle();
    entries.addAll(commitMany(store, 8, 10));
    settle();
    assertThrows(StoreFullException.class, acquire(store)::slot);
    assertEquals(1000, store.filledPermille());
    resize(store, 8, 12);
    settle();
    assertEquals(500, store.filledPermille());
    assertEquals("", store.statistics().problem());
    entries.addAll(commitMany(store, 10, 12));
    settle();
    assertHolds(store, entries);
  }

  @Test
  void ramThatShrinksSpillsAndGivesItsMemoryBack() throws IOException {
    TieredStore store = store(64, 100);
    List<Integer> entries = commitMany(store, 0, 40);
    resize(store, 8, 100);
    settle();
    assertTrue(store.statistics().ramBytes() <= 8 * CLUSTER, store.statistics().toString());
    assertEquals(8 * CLUSTER, store.statistics().ramBytesMax());
    assertEquals(40L * CLUSTER, store.statistics().usedBytes());
    assertHolds(store, entries);
    resize(store, 64, 100);
    List<Integer> more = commitMany(store, 0, 40);
    assertHolds(store, more);
    assertHolds(store, entries);
  }

  @Test
  void whatWaitsIsNotHeldUpUntilAllOfRamHasShrunk() throws IOException {
    TieredStore store = store(100, 200); // more than goes to disk at once
    List<Integer> entries = commitMany(store, 0, 100);
    resize(store, 4, 200);
    SlotOutcome waiting = acquire(store);
    assertFalse(waiting.isDone());
    while (!waiting.isDone()) {
      executor.runAll();
      file.completeOne();
    }
    assertTrue(store.statistics().ramBytes() > 4 * CLUSTER, "it waited for all of it");
    store.abandon(waiting.slot());
    settle();
    assertTrue(store.statistics().ramBytes() <= 4 * CLUSTER);
    assertHolds(store, entries);
  }

  @Test
  void whatIsHeldMustFit() throws IOException {
    TieredStore store = store(8, 10);
    List<Integer> entries = commitMany(store, 0, 8);
    settle();
    IOException disk = assertThrows(IOException.class, () -> resize(store, 8, 1));
    assertEquals(
        "scratch limit 4 KiB is too small: the disk tier holds 8 KiB; release a snapshot, or give"
            + " at least that",
        disk.getMessage());
    IOException both = assertThrows(IOException.class, () -> resize(store, 4, 2));
    assertEquals(
        "RAM of 16 KiB and a scratch limit of 8 KiB are too small together: preserved data takes 32"
            + " KiB; release a snapshot, or give more",
        both.getMessage());
    assertEquals(10 * CLUSTER, store.statistics().diskBytesMax());
    assertEquals(8 * CLUSTER, store.statistics().ramBytesMax());
    resize(store, 6, 2);
    assertHolds(store, entries);
  }

  @Test
  void aDiskTierThatTakesNoMoreCountsWithWhatItHas() throws IOException {
    TieredStore store = store(8, 92);
    List<Integer> entries = new ArrayList<>(commitMany(store, 0, 8));
    settle();
    assertEquals(80, store.filledPermille());
    file.writeFailurePercent = 100;
    entries.addAll(commitMany(store, 8, 10));
    settle();
    assertEquals(1000, store.filledPermille());
    file.writeFailurePercent = 0;
    store.retryParked();
    settle();
    assertEquals(100, store.filledPermille());
    assertHolds(store, entries);
  }

  @Test
  void spillingSoonerKeepsHalfOfRamFree() throws IOException {
    TieredStore store = store(16, 100);
    List<Integer> entries = commitMany(store, 0, 12);
    settle();
    assertEquals(12 * CLUSTER, store.statistics().ramBytes());
    store.spillSooner(true);
    settle();
    assertEquals(8 * CLUSTER, store.statistics().ramBytes());
    assertEquals(Tier.DISK, store.tierOf(firstOnDisk(store, entries)));
    store.spillSooner(false);
    entries = new ArrayList<>(entries);
    entries.addAll(commitMany(store, 12, 16));
    settle();
    assertEquals(12 * CLUSTER, store.statistics().ramBytes());
    assertHolds(store, entries);
  }

  @Test
  void whatWaitsForAPunchDoesNotKeepTheBackgroundBusy() throws IOException {
    TieredStore store = store(8, 2);
    List<Integer> entries = commitMany(store, 0, 8);
    settle();
    int gone = firstOnDisk(store, entries);
    store.release(new int[] {gone}, 1);
    List<Integer> _ = commitMany(store, 8, 10);
    for (int i = 0; i < 10 && executor.pending() > 0; i++) {
      executor.runAll();
    }
    assertEquals(0, executor.pending(), "it goes round and round");
    assertTrue(file.pendingCount() > 0);
    settle();
  }

  private static int firstOnDisk(TieredStore store, List<Integer> entries) {
    return entries.stream().filter(e -> store.tierOf(e) == Tier.DISK).findFirst().orElseThrow();
  }

  @Test
  void aDiskTierCanComeLaterAndFailsInWords(@TempDir Path directory) throws IOException {
    Path scratch = directory.resolve("scratch");
    try (IoWorkers workers = new IoWorkers("test-io", 1);
        TieredStore store =
            TieredStore.open(new StoreConfig(CLUSTER, 16 * CLUSTER, scratch, 0), workers)) {
      IOException missing = assertThrows(IOException.class, () -> resize(store, 16, 16));
      assertTrue(("" + missing.getMessage()).contains("create it"));
      assertEquals(0, store.statistics().diskBytesMax());
      Path _ = Files.createDirectory(scratch);
      resize(store, 16, 16);
      List<Integer> _ = commitMany(store, 0, 12);
      assertEquals(375, store.filledPermille());
    }
  }
}
