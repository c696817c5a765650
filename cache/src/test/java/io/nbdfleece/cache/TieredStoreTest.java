// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.cache.posix.ManualExecutor;
import io.nbdfleece.cache.posix.Outcome;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The contract of [ClusterStore] one by one, on one thread, with a budget of 16 slots of which
/// Caffeine may fill 12.
class TieredStoreTest {
  private static final int CLUSTER = 4096;
  private static final int SLOTS = 16;
  private static final int RESIDENT = 12;

  private final SimulatedSlotFile file = new SimulatedSlotFile(CLUSTER, new Random(1));
  private final ManualExecutor executor = new ManualExecutor();
  private TieredStore store = storeWithCap(1000);

  private TieredStore storeWithCap(int clusters) {
    return new TieredStore(
        new StoreConfig(CLUSTER, SLOTS * CLUSTER, Path.of("/scratch"), (long) clusters * CLUSTER),
        file,
        executor);
  }

  private RamSlot slot() throws IOException {
    SlotOutcome outcome = new SlotOutcome();
    store.acquire(1, outcome);
    assertTrue(outcome.isDone(), "acquire waits");
    return outcome.slot();
  }

  private SlotOutcome acquire() {
    return acquire(1);
  }

  private SlotOutcome acquire(int count) {
    SlotOutcome outcome = new SlotOutcome(count);
    store.acquire(count, outcome);
    return outcome;
  }

  private int commit(RamSlot slot, int value) {
    ByteBuffer buffer = slot.buffer();
    assertEquals(CLUSTER, buffer.remaining());
    while (buffer.hasRemaining()) {
      buffer.put((byte) value);
    }
    return store.commit(slot);
  }

  /// Entries 0 and on, each filled with its number.
  private void commitMany(int count) throws IOException {
    for (int i = 0; i < count; i++) {
      assertEquals(i, commit(slot(), i));
    }
  }

  /// Lets the spiller do all it can.
  private void settle() {
    while (executor.pending() > 0 || file.pendingCount() > 0) {
      executor.runAll();
      if (file.pendingCount() > 0) {
        file.completeOne();
      }
    }
  }

  private byte read(int entry, int offset, int length) throws IOException {
    ByteBuffer target = ByteBuffer.allocateDirect(length);
    store.pin(entry);
    Outcome done = new Outcome();
    store.read(entry, offset, target, done);
    settle();
    store.unpin(entry);
    done.await();
    assertFalse(target.hasRemaining());
    for (int i = 1; i < length; i++) {
      assertEquals(target.get(0), target.get(i));
    }
    return target.get(0);
  }

  private int entryIn(Tier tier, int count) {
    for (int i = 0; i < count; i++) {
      if (store.tierOf(i) == tier) {
        return i;
      }
    }
    throw new AssertionError("none in " + tier);
  }

  private void release(int... entries) {
    store.release(entries, entries.length);
  }

  @Test
  void freshEntryIsReadFromRamInsideTheCall() throws IOException {
    int entry = commit(slot(), 42);
    store.pin(entry);
    ByteBuffer target = ByteBuffer.allocateDirect(100);
    Outcome done = new Outcome();
    store.read(entry, 4000 - 4, target.limit(50), done);
    assertTrue(done.isDone());
    assertEquals(50, target.position());
    assertEquals(42, target.get(49));
    assertEquals(Tier.RAM, store.tierOf(entry));
  }

  @Test
  void whatRamCannotHoldIsReadFromDisk() throws IOException {
    commitMany(SLOTS - 1);
    settle();
    int spilled = entryIn(Tier.DISK, SLOTS - 1);
    assertEquals(spilled, read(spilled, 0, CLUSTER));
    assertEquals(spilled, read(spilled, 1000, 7));
    assertEquals(0, read(0, 4095, 1));
    assertEquals((SLOTS - 1 - RESIDENT) * CLUSTER, store.statistics().diskBytes());
    assertEquals(RESIDENT * CLUSTER, store.statistics().ramBytes());
  }

  @Test
  void lowestFreeNumberIsUsedFirst() throws IOException {
    commitMany(5);
    release(3, 1);
    assertEquals(1, commit(slot(), 0));
    assertEquals(3, commit(slot(), 0));
    assertEquals(5, commit(slot(), 0));
  }

  @Test
  void numberOfADiskEntryIsReusedOnlyWhenItsHoleIsPunched() throws IOException {
    commitMany(SLOTS - 1);
    settle();
    int spilled = entryIn(Tier.DISK, SLOTS - 1);
    release(spilled);
    assertEquals(SLOTS - 1, commit(slot(), 0));
    settle();
    assertEquals(spilled, commit(slot(), 0));
  }

  @Test
  void pinnedEntryOutlivesItsRelease() throws IOException {
    int entry = commit(slot(), 9);
    store.pin(entry);
    store.pin(entry);
    release(entry);
    assertEquals(0, store.statistics().entries());
    assertEquals(9, read(entry, 0, CLUSTER));
    store.unpin(entry);
    assertEquals(1, commit(slot(), 0), "the number is not free yet");
    store.unpin(entry);
    assertEquals(0, commit(slot(), 0));
  }

  @Test
  void entryReleasedDuringItsWriteIsDroppedAfterIt() throws IOException {
    commitMany(RESIDENT + 1);
    executor.runAll();
    assertEquals(1, file.pendingCount());
    int writing = entryIn(Tier.SPILLING, RESIDENT + 1);
    release(writing);
    assertEquals((RESIDENT + 1) * CLUSTER, store.statistics().ramBytes());
    settle();
    assertEquals(RESIDENT * CLUSTER, store.statistics().ramBytes());
    assertEquals(0, file.clusterCount());
    assertEquals(0, store.statistics().diskBytes());
  }

  @Test
  void readerKeepsTheRamSlotOfAWrittenEntry() throws IOException {
    commitMany(RESIDENT + 1);
    executor.runAll();
    int writing = entryIn(Tier.SPILLING, RESIDENT + 1);
    store.pin(writing);
    settle();
    assertEquals(Tier.SPILLING, store.tierOf(writing));
    assertEquals(CLUSTER, store.statistics().spillingBytes());
    store.unpin(writing);
    assertEquals(Tier.DISK, store.tierOf(writing));
    assertEquals(0, store.statistics().spillingBytes());
  }

  @Test
  void acquiresWaitInOrderWhileTheTierIsBusy() throws IOException {
    commitMany(SLOTS);
    SlotOutcome first = acquire(SLOTS);
    SlotOutcome second = acquire();
    assertEquals(List.of(), first.given());
    assertEquals(2, store.statistics().slotWaitsTotal());
    settle();
    for (int i = 0; !first.isDone(); i++) {
      assertEquals(List.of(), second.given());
      int _ = commit(first.given().get(i), 1);
      settle();
    }
    store.abandon(first.given().getLast());
    assertTrue(second.isDone());
  }

  @Test
  void abandonedSlotGoesToWhoWaits() throws IOException {
    List<RamSlot> filling = new ArrayList<>();
    for (int i = 0; i < SLOTS; i++) {
      filling.add(slot());
    }
    SlotOutcome waiter = acquire();
    assertFalse(waiter.isDone());
    store.abandon(filling.removeLast());
    assertTrue(waiter.isDone());
  }

  @Test
  void unpinTellsNobodyItself() throws IOException {
    commitMany(SLOTS);
    executor.runAll();
    int writing = entryIn(Tier.SPILLING, SLOTS);
    for (int i = 0; i < SLOTS; i++) {
      store.pin(i);
    }
    settle();
    SlotOutcome waiter = acquire();
    store.unpin(writing);
    assertFalse(waiter.isDone());
    executor.runAll();
    assertTrue(waiter.isDone());
  }

  @Test
  void reachedCapRefusesWithTheOptionToRaise() throws IOException {
    store = storeWithCap(2);
    commitMany(SLOTS);
    settle();
    commit(slot(), 0);
    commit(slot(), 0);
    settle();
    SlotOutcome refused = acquire();
    assertTrue(refused.isDone());
    assertEquals(
        "scratch directory /scratch is full: 8 KiB of 8 KiB used (limit --scratch-limit); release"
            + " a snapshot or raise the limit: nbdfleece cache-resize --scratch-limit SIZE",
        assertThrows(StoreFullException.class, refused::slot).getMessage());
    assertEquals(2 * CLUSTER, store.statistics().diskBytes());
    for (int i = 0; i < SLOTS; i++) {
      assertEquals(i, read(i, 0, CLUSTER));
    }
  }

  @Test
  void releasedDiskSpaceLetsParkedEntriesGoOn() throws IOException {
    store = storeWithCap(2);
    commitMany(SLOTS);
    settle();
    assertFalse(store.statistics().problem().isEmpty());
    release(entryIn(Tier.DISK, SLOTS));
    settle();
    assertEquals((SLOTS - 3) * CLUSTER, store.statistics().ramBytes());
    assertEquals(2 * CLUSTER, store.statistics().diskBytes());
  }

  @Test
  void failedWriteFailsTheWaitersAndKeepsTheEntry() throws IOException {
    commitMany(SLOTS);
    SlotOutcome waiter = acquire();
    file.writeFailurePercent = 100;
    settle();
    String text = assertThrows(StoreFullException.class, waiter::slot).toString();
    assertTrue(text.contains("cannot write to scratch directory /scratch: "), text);
    assertTrue(text.contains("(ENOSPC)") || text.contains("(EIO)"), text);
    assertTrue(acquire().isDone());
    assertTrue(text.endsWith(store.statistics().problem()), text);
    for (int i = 0; i < SLOTS; i++) {
      assertEquals(i, read(i, 0, CLUSTER));
    }
  }

  @Test
  void parkedEntriesAreWrittenWhenRetried() throws IOException {
    file.writeFailurePercent = 100;
    commitMany(SLOTS);
    settle();
    store.retryParked();
    settle();
    assertEquals(SLOTS * CLUSTER, store.statistics().ramBytes());
    file.writeFailurePercent = 0;
    store.retryParked();
    settle();
    assertEquals(RESIDENT * CLUSTER, store.statistics().ramBytes());
    assertEquals("", store.statistics().problem());
    assertTrue(acquire().isDone());
    for (int i = 0; i < SLOTS; i++) {
      assertEquals(i, read(i, 0, CLUSTER));
    }
  }

  @Test
  void storeWithoutDiskTierUsesAllOfItsRamAndThenRefuses() throws IOException {
    store = storeWithCap(0);
    commitMany(SLOTS);
    settle();
    SlotOutcome refused = acquire();
    String text = assertThrows(StoreFullException.class, refused::slot).toString();
    assertTrue(text.contains("64 KiB of 64 KiB used (limit --ram)"), text);
    assertEquals(0, executor.pending());
    release(7);
    assertEquals(7, commit(slot(), 1));
  }

  @Test
  void flippedBitOnDiskFailsTheReadAndNothingElse() throws IOException {
    commitMany(SLOTS - 1);
    settle();
    int spilled = entryIn(Tier.DISK, SLOTS - 1);
    assertTrue(file.damage((long) spilled * CLUSTER));
    IOException whole = assertThrows(IOException.class, () -> read(spilled, 0, CLUSTER));
    assertTrue(whole.toString().contains("damaged in the scratch file"), whole.toString());
    assertThrows(IOException.class, () -> read(spilled, 5, 1));
    for (int i = 0; i < SLOTS - 1; i++) {
      if (i != spilled) {
        assertEquals(i, read(i, 0, CLUSTER));
      }
    }
  }

  @Test
  void severalSlotsAreHadAtOnceAsFarAsThereAreAny() throws IOException {
    commitMany(3);
    SlotOutcome first = acquire(SLOTS);
    SlotOutcome second = acquire(2);
    assertEquals(SLOTS - 3, first.given().size());
    assertEquals(List.of(), second.given());
    List<RamSlot> some = List.copyOf(first.given());
    some.subList(0, 2).forEach(store::abandon);
    assertFalse(first.isDone());
    store.abandon(some.get(2));
    assertTrue(first.isDone());
    assertFalse(second.isDone());
    some.subList(3, 5).forEach(store::abandon);
    assertTrue(second.isDone());
  }

  @Test
  void whoLacksSlotsWhenNoneWillComeIsToldAfterThoseThatThereAre() throws IOException {
    store = storeWithCap(0);
    SlotOutcome outcome = acquire(SLOTS + 1);
    assertEquals(SLOTS, outcome.given().size());
    assertTrue(outcome.isDone());
    assertThrows(StoreFullException.class, outcome::slot);
  }

  @Test
  void neighboursAreSpilledTogetherAndTheirSlotsGoFreeTogether() throws IOException {
    SlotOutcome held = acquire(SLOTS);
    SlotOutcome waiting = acquire(SLOTS);
    store.spillSooner(true);
    store.commit(held.given());
    executor.runAll();
    assertTrue(file.pendingCount() < SLOTS / 2, "each for itself");
    settle();
    assertTrue(file.severalCount > 0);
    assertEquals(SLOTS / 2, waiting.given().size());
    assertTrue(waiting.callCount() < SLOTS / 2, "given one by one");
  }

  /// The entries of a full store, half of them on their way to disk, of which the first one cannot
  /// be written.
  private int spillHalfOfAllButOne() {
    SlotOutcome held = acquire(SLOTS);
    store.spillSooner(true);
    store.commit(held.given());
    int bad = entryIn(Tier.SPILLING, SLOTS);
    file.badOffsets.add((long) bad * CLUSTER);
    executor.runAll();
    return bad;
  }

  @Test
  void whereSeveralCannotBeWrittenTogetherThoseAreThatCan() throws IOException {
    int bad = spillHalfOfAllButOne();
    settle();
    StoreStatistics figures = store.statistics();
    assertEquals(CLUSTER, figures.spillingBytes());
    assertEquals((SLOTS / 2 - 1) * CLUSTER, figures.spilledBytesTotal());
    assertTrue(figures.problem().startsWith("cannot write"), figures.problem());
    file.badOffsets.clear();
    store.retryParked();
    settle();
    assertEquals(Tier.DISK, store.tierOf(bad));
    assertEquals("", store.statistics().problem());
    assertEquals(SLOTS / 2 * CLUSTER, store.statistics().diskBytes());
  }

  @Test
  void whatIsReleasedWhileItCannotBeWrittenIsNoProblem() throws IOException {
    int bad = spillHalfOfAllButOne();
    release(bad);
    file.completeAt((long) bad * CLUSTER); // with others
    file.completeAt((long) bad * CLUSTER); // alone
    executor.runAll();
    for (int i = 0; i < SLOTS; i++) {
      if (i != bad && file.isPending((long) i * CLUSTER)) {
        file.completeAt((long) i * CLUSTER);
      }
    }
    settle(); // the hole where it stood is punched last
    assertEquals("", store.statistics().problem());
    assertTrue(acquire(SLOTS / 2).isDone());
    SlotOutcome waiting = acquire();
    assertFalse(waiting.isDone(), "refused though the disk tier works");
  }

  @Test
  void slotsGivenBackTogetherAreGivenToWhoWaitsTogether() {
    SlotOutcome held = acquire(SLOTS);
    SlotOutcome waiting = acquire(SLOTS);
    store.abandon(held.given());
    assertTrue(waiting.isDone());
    assertEquals(1, waiting.callCount());
    assertThrows(IllegalArgumentException.class, () -> store.acquire(0, waiting));
  }

  @Test
  void severalSlotsAreCommittedInOrder() throws IOException {
    commitMany(2);
    List<RamSlot> slots = acquire(3).given();
    for (int i = 0; i < 3; i++) {
      ByteBuffer buffer = slots.get(i).buffer();
      while (buffer.hasRemaining()) {
        buffer.put((byte) (2 + i));
      }
    }
    assertArrayEquals(new int[] {2, 3, 4}, store.commit(slots));
    for (int entry = 0; entry < 5; entry++) {
      assertEquals(entry, read(entry, 0, CLUSTER));
    }
    assertEquals(5, store.statistics().entries());
  }

  @Test
  void misuseIsRefused() throws IOException {
    RamSlot slot = slot();
    int entry = commit(slot, 1);
    assertThrows(IllegalStateException.class, () -> store.commit(slot));
    assertThrows(IllegalStateException.class, () -> store.abandon(slot));
    assertThrows(IllegalStateException.class, () -> store.unpin(entry));
    ByteBuffer target = ByteBuffer.allocateDirect(2);
    assertThrows(IllegalStateException.class, () -> store.read(entry, 0, target, new Outcome()));
    store.pin(entry);
    assertThrows(
        IllegalArgumentException.class,
        () -> store.read(entry, CLUSTER - 1, target, new Outcome()));
  }

  @Test
  void closeFailsWhoWaitsAndWhoComesLater() throws IOException {
    List<RamSlot> filling = new ArrayList<>();
    for (int i = 0; i < SLOTS; i++) {
      filling.add(slot());
    }
    store.abandon(filling.removeLast());
    SlotOutcome waiter = acquire(2);
    assertEquals(1, waiter.given().size());
    store.close();
    assertThrows(IOException.class, waiter::slot);
    assertThrows(IOException.class, acquire()::slot);
    assertTrue(file.closed);
    assertEquals(SLOTS - 1, filling.size());
  }

  @Test
  void statisticsCountBytes() throws IOException {
    commitMany(SLOTS);
    settle();
    release(0, 1);
    settle();
    StoreStatistics figures = store.statistics();
    assertEquals(14, figures.entries());
    assertEquals(16 * CLUSTER, figures.preservedBytesTotal());
    assertEquals(4 * CLUSTER, figures.spilledBytesTotal());
    assertEquals(2 * CLUSTER, figures.releasedBytesTotal());
    assertEquals(14 * CLUSTER, figures.ramBytes() + figures.diskBytes());
    assertEquals(SLOTS * CLUSTER, figures.ramBytesMax());
    assertEquals(1000 * CLUSTER, figures.diskBytesMax());
  }
}
