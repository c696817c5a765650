// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.posix.Outcome;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;

/// A store with some entries, one of them spare perhaps, that two actors are let loose on: a round
/// of [TieredStoreRaceTest].
final class RacedStore {
  private static final int CLUSTER = 4096;
  private static final int RAM_SLOTS = 8;
  private static final int DISK_SLOTS = 64;
  private static final int ENTRIES = 6;
  private static final int HEAD_START_BITS = 11;

  /// What is done to the store; to its first entry where one is needed.
  enum Operation {
    COMMIT,
    READ,
    RELEASE,
    PREFETCH,
    KEEP,
    READ_SPARE,
    SPILL,
    RESIZE,
    RETRY
  }

  /// What one actor does, and how many turns of a loop it waits before.
  record Play(Body body, int headStart) {
    void run() {
      try {
        body.run();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /// An operation.
  interface Body {
    void run() throws IOException;
  }

  private final TieredStore store;
  private final Object lock = new Object();

  /// What is held, by entry: the stamp that its bytes repeat.
  @GuardedBy("lock")
  private final Map<Integer, Integer> held = new HashMap<>();

  private final int[] entries = new int[ENTRIES];
  private final int[] stamps = new int[ENTRIES];
  private final int spareStamp;

  /// Owned until it is released or kept; a hook has a lock for this, too.
  @GuardedBy("lock")
  private OptionalInt spare = OptionalInt.empty();

  /// How often it was told that it has been dropped.
  @GuardedBy("lock")
  private int drops;

  @GuardedBy("lock")
  private boolean keptSpare;

  /// How many entries the store has room for, at the least.
  private final AtomicInteger fits = new AtomicInteger(RAM_SLOTS + DISK_SLOTS);

  static StoreConfig config(Path directory) {
    return new StoreConfig(
        CLUSTER, (long) RAM_SLOTS * CLUSTER, directory, (long) DISK_SLOTS * CLUSTER);
  }

  RacedStore(TieredStore store, Random random) throws IOException {
    this.store = store;
    store.resize((long) RAM_SLOTS * CLUSTER, (long) DISK_SLOTS * CLUSTER);
    store.spillSooner(random.nextBoolean());
    int count = random.nextBoolean() ? ENTRIES : 2; // with few, all of them are in RAM
    for (int i = 0; i < count; i++) {
      stamps[i] = random.nextInt();
      entries[i] = commit(stamps[i]);
    }
    spareStamp = random.nextInt();
    Optional<RamSlot> room = store.acquireSpare();
    if (room.isPresent()) {
      fill(room.get(), spareStamp);
      synchronized (lock) {
        spare = OptionalInt.of(store.commitSpare(room.get(), this::dropped));
      }
    }
    store.spillSooner(false);
  }

  private static void fill(RamSlot slot, int stamp) {
    ByteBuffer bytes = slot.buffer();
    while (bytes.hasRemaining()) {
      bytes.putInt(stamp);
    }
  }

  private int commit(int stamp) throws IOException {
    SlotOutcome outcome = new SlotOutcome();
    store.acquire(1, outcome);
    RamSlot slot = outcome.slot();
    fill(slot, stamp);
    int entry = store.commit(slot);
    synchronized (lock) {
      held.put(entry, stamp);
    }
    return entry;
  }

  private void commitIfThereIsRoom(int stamp) throws IOException {
    try {
      int _ = commit(stamp);
    } catch (StoreFullException e) {
      assertTrue(fits.get() < ENTRIES + 2, () -> "full: " + e); // resized meanwhile
    }
  }

  private void dropped(int entry) {
    synchronized (lock) {
      drops++;
      if (spare.isEmpty() || spare.getAsInt() != entry) {
        return; // whoever took it out has released it
      }
      spare = OptionalInt.empty();
    }
    store.release(new int[] {entry}, 1);
  }

  /// Chosen now, run later.
  ///
  /// @param number of the entry, for what must not be done twice to one
  Play play(Operation operation, int number, Random random) {
    int stamp = random.nextInt();
    int ramSlots = 4 + random.nextInt(2 * RAM_SLOTS);
    int diskSlots = random.nextInt(3) * (DISK_SLOTS / 2);
    int entry = entries[0];
    Body body =
        switch (operation) {
          case COMMIT -> () -> commitIfThereIsRoom(stamp);
          case READ -> pinned(entry, () -> requireStamp(entry, stamps[0]));
          case PREFETCH -> pinned(entry, () -> prefetch(entry));
          case RELEASE -> () -> release(entries[number]);
          case KEEP -> this::keep;
          case READ_SPARE -> this::readSpare;
          case SPILL -> () -> store.spillSooner(true);
          case RESIZE -> () -> resize(ramSlots, diskSlots);
          case RETRY -> store::retryParked;
        };
    return new Play(body, random.nextInt(1 << random.nextInt(HEAD_START_BITS)));
  }

  /// Pinned from now on, and until the body has run: a release may come before.
  private Body pinned(int entry, Body body) {
    store.pin(entry);
    return () -> {
      try {
        body.run();
      } finally {
        store.unpin(entry);
      }
    };
  }

  private void requireStamp(int entry, int stamp) throws IOException {
    ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
    Outcome done = new Outcome();
    store.read(entry, 0, target, done);
    done.await();
    target.flip();
    while (target.hasRemaining()) {
      assertEquals(stamp, target.getInt(), () -> "bytes of entry " + entry);
    }
  }

  private void prefetch(int entry) throws IOException {
    Outcome done = new Outcome();
    if (store.prefetch(entry, done)) {
      done.await();
    }
    requireStamp(entry, stamps[0]);
  }

  private void release(int entry) {
    synchronized (lock) {
      held.remove(entry);
    }
    store.release(new int[] {entry}, 1);
  }

  private void keep() {
    int entry;
    synchronized (lock) {
      if (spare.isEmpty() || !store.keep(spare.getAsInt())) {
        return; // dropped: it is told soon, and released then
      }
      entry = spare.getAsInt();
      spare = OptionalInt.empty();
      held.put(entry, spareStamp);
      keptSpare = true;
    }
    store.kept(new int[] {entry}, 1);
  }

  private void readSpare() throws IOException {
    int entry;
    synchronized (lock) {
      if (spare.isEmpty() || !store.pinSpare(spare.getAsInt())) {
        return;
      }
      entry = spare.getAsInt();
    }
    try {
      requireStamp(entry, spareStamp);
    } finally {
      store.unpin(entry);
    }
  }

  private void resize(int ramSlots, int diskSlots) {
    fits.accumulateAndGet(ramSlots + diskSlots, Math::min);
    try {
      store.resize((long) ramSlots * CLUSTER, (long) diskSlots * CLUSTER);
    } catch (IOException e) {
      String text = "" + e.getMessage(); // what is held does not fit: nothing has changed
      assertTrue(!text.contains("internal"), text);
    }
  }

  /// After both: all that is held has its bytes.
  void check() throws IOException {
    Map<Integer, Integer> all;
    synchronized (lock) {
      all = Map.copyOf(held);
      assertTrue(drops <= 1 && !(keptSpare && drops > 0), "dropped twice, or kept and dropped");
    }
    for (Map.Entry<Integer, Integer> each : all.entrySet()) {
      store.pin(each.getKey());
      requireStamp(each.getKey(), each.getValue());
      store.unpin(each.getKey());
    }
  }

  void releaseAll() {
    Map<Integer, Integer> all;
    OptionalInt unused;
    synchronized (lock) {
      all = Map.copyOf(held);
      held.clear();
      unused = spare;
      spare = OptionalInt.empty();
    }
    for (int entry : all.keySet()) {
      store.release(new int[] {entry}, 1);
    }
    if (unused.isPresent()) {
      store.release(new int[] {unused.getAsInt()}, 1);
    }
  }
}
