// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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

/// Spare entries and copies of the store, on one thread, with a budget of 8 slots.
final class SpareEntriesTest {
  private static final int CLUSTER = 4096;
  private static final int SLOTS = 8;

  private final SimulatedSlotFile file = new SimulatedSlotFile(CLUSTER, new Random(1));
  private final ManualExecutor executor = new ManualExecutor();
  private final List<Integer> dropped = new ArrayList<>();

  private TieredStore store(int scratchClusters) {
    return new TieredStore(
        new StoreConfig(
            CLUSTER, SLOTS * CLUSTER, Path.of("/scratch"), (long) scratchClusters * CLUSTER),
        file,
        executor);
  }

  private static void fill(RamSlot slot, int value) {
    ByteBuffer buffer = slot.buffer().duplicate().clear();
    while (buffer.hasRemaining()) {
      buffer.put((byte) value);
    }
  }

  private int spare(TieredStore store, int value) {
    RamSlot slot = store.acquireSpare().orElseThrow();
    fill(slot, value);
    return store.commitSpare(slot, dropped::add);
  }

  private static int preserve(TieredStore store, int value) throws IOException {
    SlotOutcome outcome = new SlotOutcome();
    store.acquire(1, outcome);
    assertTrue(outcome.isDone(), "acquire waits");
    fill(outcome.slot(), value);
    return store.commit(outcome.slot());
  }

  private void settle() {
    while (executor.pending() > 0 || file.pendingCount() > 0) {
      executor.runAll();
      if (file.pendingCount() > 0) {
        file.completeOne();
      }
    }
  }

  /// Of a pinned entry.
  private byte read(TieredStore store, int entry) throws IOException {
    ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
    Outcome done = new Outcome();
    store.read(entry, 0, target, done);
    settle();
    done.await();
    return target.get(CLUSTER - 1);
  }

  @Test
  void spareEntriesGoFirstAndTheirOwnerIsTold() throws IOException {
    TieredStore store = store(0);
    int preserved = preserve(store, 1);
    for (int i = 0; i < SLOTS - 1; i++) {
      assertEquals(preserved + 1 + i, spare(store, 10 + i));
    }
    assertTrue(store.acquireSpare().isEmpty(), "a spare entry drives out another one");
    assertEquals((SLOTS - 1) * CLUSTER, store.statistics().spareBytes());
    assertEquals(1, store.statistics().entries());
    for (int i = 0; i < SLOTS - 1; i++) {
      int entry = preserve(store, 20 + i);
      assertEquals(i + 1, dropped.size());
      assertFalse(dropped.contains(entry), "the number was given out before its release");
    }
    SlotOutcome none = new SlotOutcome();
    store.acquire(1, none);
    assertTrue(none.isDone());
    assertFalse(store.pinSpare(1));
    assertFalse(store.keep(1));
    store.release(new int[] {1, 2, 3, 4, 5, 6, 7}, 7);
    assertEquals(SLOTS, store.statistics().entries());
    store.close();
  }

  @Test
  void keptEntryIsSpilledLikeAnyOther() throws IOException {
    TieredStore store = store(100);
    int entry = spare(store, 42);
    assertTrue(store.keep(entry));
    store.kept(new int[] {entry}, 1);
    assertEquals(0, store.statistics().spareBytes());
    for (int i = 0; i < 3 * SLOTS; i++) {
      preserve(store, i);
      settle();
    }
    assertEquals(List.of(), dropped);
    store.pin(entry);
    assertEquals(42, read(store, entry));
    store.unpin(entry);
    store.close();
  }

  @Test
  void pinnedSpareEntryIsReadableUntilItsLastPinGoes() throws IOException {
    TieredStore store = store(0);
    int entry = spare(store, 42);
    assertTrue(store.pinSpare(entry));
    for (int i = 0; i < SLOTS - 1; i++) {
      preserve(store, i);
    }
    SlotOutcome waiting = new SlotOutcome();
    store.acquire(1, waiting);
    assertFalse(waiting.isDone(), "the pinned slot was given away, or not waited for");
    assertEquals(42, read(store, entry));
    assertFalse(store.keep(entry));
    store.unpin(entry);
    settle();
    assertTrue(waiting.isDone());
    fill(waiting.slot(), 1);
    assertEquals(List.of(entry), dropped);
    store.release(new int[] {entry}, 1);
    store.close();
  }

  @Test
  void slotBeingFilledForASpareEntryIsWaitedFor() throws IOException {
    TieredStore store = store(0);
    RamSlot filling = store.acquireSpare().orElseThrow();
    for (int i = 0; i < SLOTS - 1; i++) {
      preserve(store, i);
    }
    SlotOutcome waiting = new SlotOutcome();
    store.acquire(1, waiting);
    assertFalse(waiting.isDone(), "a hint made the store full");
    fill(filling, 1);
    int entry = store.commitSpare(filling, dropped::add);
    settle();
    assertTrue(waiting.isDone());
    assertEquals(List.of(entry), dropped);
    store.release(new int[] {entry}, 1);
    store.close();
  }

  @Test
  void abandonedSpareSlotGoesToWhoWaits() throws IOException {
    TieredStore store = store(0);
    RamSlot filling = store.acquireSpare().orElseThrow();
    for (int i = 0; i < SLOTS - 1; i++) {
      preserve(store, i);
    }
    SlotOutcome waiting = new SlotOutcome();
    store.acquire(1, waiting);
    store.abandon(filling);
    assertTrue(waiting.isDone());
    fill(waiting.slot(), 3);
    store.close();
  }

  @Test
  void spilledEntryIsBroughtBackAndServedFromRam() throws IOException {
    TieredStore store = store(100);
    for (int i = 0; i < 3 * SLOTS; i++) {
      assertEquals(i, preserve(store, i));
      settle();
    }
    int[] rest = new int[3 * SLOTS];
    int onDisk = -1;
    int count = 0;
    for (int i = 0; i < 3 * SLOTS; i++) {
      if (onDisk < 0 && store.tierOf(i) == Tier.DISK) {
        onDisk = i;
      } else {
        rest[count++] = i;
      }
    }
    store.release(rest, count); // so that there is room
    settle();
    store.pin(onDisk);
    Outcome done = new Outcome();
    assertTrue(store.prefetch(onDisk, done));
    settle();
    done.await();
    assertEquals(Tier.RAM, store.tierOf(onDisk));
    assertEquals(CLUSTER, store.statistics().spareBytes());
    ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
    Outcome read = new Outcome();
    store.read(onDisk, 0, target, read);
    assertTrue(read.isDone(), "not served from RAM");
    assertEquals(onDisk, target.get(7));
    store.unpin(onDisk);
    for (int i = 0; i < SLOTS; i++) {
      preserve(store, 100 + i);
      settle();
    }
    store.pin(onDisk);
    assertEquals(onDisk, read(store, onDisk));
    store.unpin(onDisk);
    assertEquals(List.of(), dropped);
    store.release(new int[] {onDisk}, 1);
    store.close();
  }

  @Test
  void nothingIsBroughtBackWithoutRoom() throws IOException {
    TieredStore store = store(100);
    for (int i = 0; i < 3 * SLOTS; i++) {
      preserve(store, i);
      settle();
    }
    while (store.statistics().ramBytes() < SLOTS * CLUSTER) {
      SlotOutcome held = new SlotOutcome();
      store.acquire(1, held);
      assertTrue(held.isDone());
    }
    int onDisk = 0;
    while (store.tierOf(onDisk) != Tier.DISK) {
      onDisk++;
    }
    store.pin(onDisk);
    assertFalse(store.prefetch(onDisk, new Outcome()));
    store.unpin(onDisk);
    store.close();
  }
}
