// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The part of a [StoreHistory] that the store may drop.
final class SpareHistory {
  private final StoreHistory all;
  private final TieredStore store;
  private final List<RamSlot> filling = new ArrayList<>();
  private final Map<Integer, byte[]> entries = new HashMap<>();

  SpareHistory(StoreHistory all, TieredStore store) {
    this.all = all;
    this.store = store;
  }

  void step() {
    switch (all.random.nextInt(6)) {
      case 0 -> store.acquireSpare().ifPresent(filling::add);
      case 1 -> commitOrAbandon();
      case 2 -> keep();
      case 3 -> read();
      case 4 -> releaseOne();
      default -> prefetch();
    }
  }

  private void commitOrAbandon() {
    if (filling.isEmpty()) {
      return;
    }
    RamSlot slot = filling.removeFirst();
    if (all.random.nextInt(5) == 0) {
      store.abandon(slot);
      return;
    }
    byte[] bytes = new byte[all.cluster];
    all.random.nextBytes(bytes);
    slot.buffer().clear().put(bytes);
    int entry = store.commitSpare(slot, dropped -> dropped(dropped, bytes));
    boolean used = all.live.containsKey(entry) || entries.containsKey(entry);
    StoreHistory.check(!used, "entry in use: " + entry);
    entries.put(entry, bytes);
    all.damaged.remove(entry);
  }

  private void dropped(int entry, byte[] bytes) {
    if (Arrays.equals(entries.get(entry), bytes)) {
      releaseEntry(entry);
    }
  }

  private void releaseEntry(int entry) {
    entries.remove(entry);
    store.release(new int[] {entry}, 1);
  }

  private void releaseOne() {
    if (!entries.isEmpty()) {
      releaseEntry(all.anyOf(entries.keySet()));
    }
  }

  private void keep() {
    if (entries.isEmpty()) {
      return;
    }
    int entry = all.anyOf(entries.keySet());
    if (store.keep(entry)) {
      byte[] bytes = entries.remove(entry);
      all.live.put(entry, bytes == null ? new byte[0] : bytes);
      store.kept(new int[] {entry}, 1);
    }
  }

  private void read() {
    if (entries.isEmpty()) {
      return;
    }
    int entry = all.anyOf(entries.keySet());
    if (!store.pinSpare(entry)) {
      return;
    }
    byte[] expected = entries.get(entry);
    ByteBuffer target = ByteBuffer.allocateDirect(all.cluster);
    store.read(
        entry,
        0,
        target,
        new Completion() {
          @Override
          public void succeeded() {
            byte[] actual = new byte[all.cluster];
            target.flip().get(actual);
            StoreHistory.check(Arrays.equals(expected, actual), "bytes of spare " + entry);
            store.unpin(entry);
          }

          @Override
          public void failed(IOException error) {
            throw new AssertionError("a spare entry is always in RAM", error);
          }
        });
  }

  private void prefetch() {
    if (all.live.isEmpty()) {
      return;
    }
    int entry = all.anyOf(all.live.keySet());
    StoreHistory.Pinned pin = all.pinLive(entry);
    pin.reads++;
    all.reading++;
    boolean room =
        store.prefetch(
            entry,
            new Completion() {
              @Override
              public void succeeded() {
                ended(entry, pin);
              }

              @Override
              public void failed(IOException error) {
                StoreHistory.check(all.damaged.contains(entry), error.toString());
                ended(entry, pin);
              }
            });
    if (!room) {
      ended(entry, pin);
    }
  }

  private void ended(int entry, StoreHistory.Pinned pin) {
    all.reading--;
    pin.reads--;
    all.unpin(entry);
  }

  void giveAllBack() {
    while (!filling.isEmpty()) {
      store.abandon(filling.removeFirst());
    }
    while (!entries.isEmpty()) {
      releaseOne();
    }
  }
}
