// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.posix.ManualExecutor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/// One random history of a [TieredStore], with the oracle beside it.
final class StoreHistory {
  final Random random;

  /// Of a small one more than all slots may be on their way to disk at once, of a large one 4.
  final int cluster;

  private long capCount;

  /// RAM that may be in use: after RAM has shrunk it takes a while to become less, but never grows.
  private long ramBytesAllowed;

  private final SimulatedSlotFile file;
  private final ManualExecutor executor = new ManualExecutor();
  final TieredStore store;

  private final List<RamSlot> filling = new ArrayList<>();
  final Map<Integer, byte[]> live = new HashMap<>();
  private final Map<Integer, Pinned> pinned = new HashMap<>();
  final Set<Integer> damaged = new HashSet<>();
  private final SpareHistory spares;
  private final Deque<Waiting> waiting = new ArrayDeque<>();
  int reading;
  private int damagedReads;
  private int refused;
  private int resized;
  private int resizesRefused;

  StoreHistory(long seed) {
    random = new Random(seed);
    cluster = random.nextInt(4) == 0 ? 65_536 : 4096;
    int slotCount = 4 + random.nextInt(20);
    capCount = random.nextInt(5) == 0 ? 0 : 1 + random.nextInt(60);
    file = new SimulatedSlotFile(cluster, random);
    file.writeFailurePercent = random.nextInt(3) == 0 ? random.nextInt(60) : 0;
    file.punchFailurePercent = random.nextInt(3) == 0 ? 30 : 0;
    store =
        new TieredStore(
            new StoreConfig(
                cluster, (long) slotCount * cluster, Path.of("/scratch"), capCount * cluster),
            file,
            executor);
    spares = new SpareHistory(this, store);
  }

  long spilledBytes() {
    return store.statistics().spilledBytesTotal();
  }

  /// Writes of several clusters to the disk tier.
  int severalCount() {
    return file.severalCount;
  }

  int damagedReadCount() {
    return damagedReads;
  }

  int refusedCount() {
    return refused;
  }

  int resizedCount() {
    return resized;
  }

  int refusedResizeCount() {
    return resizesRefused;
  }

  void run() throws IOException {
    int steps = 100 + random.nextInt(300);
    int releaseWeight = random.nextInt(12);
    for (int i = 0; i < steps; i++) {
      if (random.nextInt(50) == 0) {
        resize();
      } else if (random.nextInt(4) == 0) {
        spares.step();
      } else {
        step(random.nextInt(60 + releaseWeight));
      }
      checkInvariants();
    }
    wind();
  }

  private void step(int dice) {
    if (dice < 12) {
      acquire();
    } else if (dice < 22) {
      commit();
    } else if (dice < 23) {
      abandon();
    } else if (dice < 29) {
      pin();
    } else if (dice < 33) {
      unpin();
    } else if (dice < 40) {
      read();
    } else if (dice < 41) {
      damage();
    } else if (dice < 43) {
      store.retryParked();
    } else if (dice < 51) {
      executor.runOne();
    } else if (dice < 60) {
      if (file.pendingCount() > 0) {
        file.completeOne();
      }
    } else {
      release(1 + random.nextInt(4));
    }
  }

  private void resize() {
    store.spillSooner(random.nextBoolean());
    int slotCount = 4 + random.nextInt(20);
    long cap = random.nextInt(5) == 0 ? 0 : 1 + random.nextInt(60);
    try {
      store.resize((long) slotCount * cluster, cap * cluster);
      capCount = cap;
      resized++;
    } catch (IOException e) {
      check((e + "").contains("too small"), e.toString());
      resizesRefused++;
    }
  }

  private void acquire() {
    int count = random.nextInt(3) == 0 ? 2 + random.nextInt(6) : 1;
    Waiting now = new Waiting(count);
    store.acquire(count, now);
    now.mayOvertake = false;
  }

  /// Who waits for slots, behind those that did before.
  private final class Waiting implements ClusterStore.SlotCompletion {
    private int missing;

    /// Those before it may have got theirs, and not been told yet.
    private boolean mayOvertake = true;

    Waiting(int count) {
      missing = count;
      waiting.addLast(this);
    }

    @Override
    public void acquired(List<RamSlot> slots) {
      check(mayOvertake || waiting.peekFirst() == this, "overtakes, or is told too much");
      check(!slots.isEmpty() && slots.size() <= missing, "slots: " + slots.size());
      for (RamSlot slot : slots) {
        check(slot.buffer().remaining() == cluster, "slot size");
        check(!filling.contains(slot), "slot given twice");
        filling.add(slot);
      }
      missing -= slots.size();
      if (missing == 0) {
        check(waiting.remove(this), "told twice");
      }
    }

    @Override
    public void failed(IOException error) {
      check(error instanceof StoreFullException, error.toString());
      check(waiting.remove(this), "told twice");
      refused++;
    }
  }

  private void commit() {
    if (filling.isEmpty()) {
      return;
    }
    RamSlot slot = filling.remove(random.nextInt(filling.size()));
    byte[] bytes = new byte[cluster];
    random.nextBytes(bytes);
    slot.buffer().clear().put(bytes);
    int entry = store.commit(slot);
    check(!live.containsKey(entry) && !pinned.containsKey(entry), "entry in use: " + entry);
    live.put(entry, bytes);
    damaged.remove(entry);
  }

  private void abandon() {
    if (!filling.isEmpty()) {
      store.abandon(filling.remove(random.nextInt(filling.size())));
    }
  }

  private void pin() {
    if (live.isEmpty()) {
      return;
    }
    int entry = anyOf(live.keySet());
    pinLive(entry);
  }

  Pinned pinLive(int entry) {
    store.pin(entry);
    Pinned pin = pinned.get(entry);
    if (pin == null) {
      byte[] bytes = live.get(entry);
      check(bytes != null, "oracle");
      pin = new Pinned(bytes == null ? new byte[0] : bytes);
      pinned.put(entry, pin);
    }
    pin.count++;
    return pin;
  }

  private void unpin() {
    for (Map.Entry<Integer, Pinned> each : pinned.entrySet()) {
      if (each.getValue().count > each.getValue().reads) {
        unpin(each.getKey());
        return;
      }
    }
  }

  void unpin(int entry) {
    Pinned pin = pinned.get(entry);
    if (pin != null && --pin.count == 0) {
      pinned.remove(entry);
    }
    store.unpin(entry);
  }

  /// Reads some range of a pinned entry, maybe one that is released by now.
  private void read() {
    if (pinned.isEmpty()) {
      pin();
      return;
    }
    int entry = anyOf(pinned.keySet());
    Pinned pin = pinned.get(entry);
    if (pin == null) {
      return;
    }
    store.pin(entry);
    pin.count++;
    pin.reads++;
    reading++;
    boolean whole = random.nextBoolean();
    int offset = whole ? 0 : random.nextInt(cluster);
    int length = whole ? cluster : random.nextInt(cluster - offset + 1);
    ByteBuffer target =
        random.nextInt(8) == 0 ? ByteBuffer.allocate(length) : ByteBuffer.allocateDirect(length);
    byte[] expected = Arrays.copyOfRange(pin.bytes, offset, offset + length);
    boolean inRam = store.tierOf(entry) != ClusterStore.Tier.DISK;
    store.read(
        entry,
        offset,
        target,
        new Completion() {
          @Override
          public void succeeded() {
            byte[] actual = new byte[length];
            check(!target.hasRemaining(), "filled");
            target.flip().get(actual);
            check(Arrays.equals(expected, actual), "bytes of " + entry);
            check(inRam || !damaged.contains(entry), "damage unseen");
            end();
          }

          @Override
          public void failed(IOException error) {
            check(damaged.contains(entry), error.toString());
            damagedReads++;
            end();
          }

          private void end() {
            reading--;
            pin.reads--;
            unpin(entry);
          }
        });
  }

  private void damage() {
    if (random.nextInt(10) == 0 && !live.isEmpty()) {
      int entry = anyOf(live.keySet());
      long offset = (long) entry * cluster;
      if (store.tierOf(entry) == ClusterStore.Tier.DISK
          && !damaged.contains(entry)
          && !file.isPending(offset)
          && file.damage(offset)) {
        damaged.add(entry);
      }
    }
  }

  private void release(int countMax) {
    int[] entries = new int[countMax];
    int count = 0;
    while (count < countMax && !live.isEmpty()) {
      int entry = anyOf(live.keySet());
      live.remove(entry);
      entries[count++] = entry;
    }
    store.release(entries, count);
  }

  private void checkInvariants() {
    StoreStatistics figures = store.statistics();
    check(figures.entries() == live.size(), "entries: " + figures);
    ramBytesAllowed = Math.max(figures.ramBytesMax(), ramBytesAllowed);
    check(figures.ramBytes() <= ramBytesAllowed, "RAM: " + figures);
    ramBytesAllowed = Math.max(figures.ramBytesMax(), figures.ramBytes());
    check(figures.usedBytes() == (long) live.size() * cluster, "used: " + figures);
    check(
        store.filledPermille()
            == Math.min(1000, figures.usedBytes() * 1000 / figures.capacityBytes()),
        "filled: " + store.filledPermille() + " " + figures);
    check(figures.diskBytes() <= capCount * cluster, "disk: " + figures);
    check(
        figures.preservedBytesTotal() - figures.releasedBytesTotal()
            == (long) live.size() * cluster,
        "totals: " + figures);
    long inRam =
        filling.size()
            + live.keySet().stream()
                .filter(entry -> store.tierOf(entry) != ClusterStore.Tier.DISK)
                .count();
    // Released entries may hold slots a little longer.
    check(figures.spareBytes() <= figures.ramBytes(), "spares: " + figures);
    check(figures.ramBytes() >= inRam * cluster, "slots: " + inRam + " " + figures);
    check(waiting.isEmpty() || !filling.isEmpty() || figures.ramBytes() > 0, "waits for nothing");
  }

  /// Lets everything end, and looks whether all came back.
  private void wind() throws IOException {
    spares.giveAllBack();
    settle();
    while (!filling.isEmpty()) {
      abandon();
      settle();
    }
    unpinAll();
    settle();
    while (!filling.isEmpty()) {
      abandon();
      settle();
    }
    check(waiting.isEmpty(), "still waiting: " + waiting.size() + " " + store.statistics());
    for (int entry : List.copyOf(live.keySet())) {
      Pinned pin = pinLive(entry);
      check(pin.count > 0, "pinned");
      read();
      settle();
      unpinAll();
    }
    file.writeFailurePercent = 0;
    file.punchFailurePercent = 0;
    release(live.size());
    settle();
    StoreStatistics figures = store.statistics();
    check(figures.ramBytes() == 0 && figures.spillingBytes() == 0, "RAM left: " + figures);
    check(figures.diskBytes() == 0 && figures.entries() == 0, "disk left: " + figures);
    check(figures.problem().isEmpty(), figures.problem());
    store.close();
    store.close();
    check(file.closed, "file open");
  }

  private void unpinAll() {
    while (!pinned.isEmpty()) {
      unpin();
    }
  }

  private void settle() {
    for (int i = 0; i < 3; i++) {
      while (executor.pending() > 0 || file.pendingCount() > 0) {
        executor.runAll();
        if (file.pendingCount() > 0) {
          file.completeOne();
        }
      }
      store.retryParked();
    }
    executor.runAll();
    while (file.pendingCount() > 0) {
      file.completeOne();
      executor.runAll();
    }
    check(reading == 0, "reads left");
  }

  int anyOf(Set<Integer> entries) {
    return List.copyOf(entries).get(random.nextInt(entries.size()));
  }

  static void check(boolean holds, String text) {
    if (!holds) {
      throw new AssertionError(text);
    }
  }

  static final class Pinned {
    final byte[] bytes;
    int count;
    int reads;

    Pinned(byte[] bytes) {
      this.bytes = bytes;
    }
  }
}
