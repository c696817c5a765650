// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.StoreStatistics;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntConsumer;

/// The smallest store there is, made a million times a second: everything in one map, as much as
/// one likes, never anything spare.
final class HeapStore implements ClusterStore {
  private final int clusterBytes;
  private final Map<Integer, Entry> entries = new HashMap<>();
  private int filling;
  private int nextEntry;

  private record Filled(ByteBuffer buffer) implements RamSlot {}

  private static final class Entry {
    final ByteBuffer bytes;
    int pins;
    boolean released;

    Entry(ByteBuffer bytes) {
      this.bytes = bytes;
    }
  }

  HeapStore(int clusterBytes) {
    this.clusterBytes = clusterBytes;
  }

  /// Entries and slots being filled. Entries that are pinned count.
  synchronized int held() {
    return entries.size() + filling;
  }

  @Override
  public int clusterBytes() {
    return clusterBytes;
  }

  @Override
  public void acquire(int count, SlotCompletion done) {
    synchronized (this) {
      filling += count;
    }
    List<RamSlot> slots = new ArrayList<>(count);
    while (slots.size() < count) {
      slots.add(new Filled(ByteBuffer.allocate(clusterBytes)));
    }
    done.acquired(slots);
  }

  @Override
  public synchronized int[] commit(List<? extends RamSlot> slots) {
    int[] committed = new int[slots.size()];
    for (int i = 0; i < committed.length; i++) {
      filling--;
      entries.put(nextEntry, new Entry(slots.get(i).buffer()));
      committed[i] = nextEntry++;
    }
    return committed;
  }

  @Override
  public synchronized void abandon(List<? extends RamSlot> slots) {
    filling -= slots.size();
  }

  private Entry entry(int number) {
    Entry entry = entries.get(number);
    if (entry == null) {
      throw new IllegalStateException("entry: " + number + " (expected: held)");
    }
    return entry;
  }

  @Override
  public synchronized void pin(int number) {
    entry(number).pins++;
  }

  @Override
  public synchronized void unpin(int number) {
    Entry entry = entry(number);
    if (--entry.pins == 0 && entry.released) {
      entries.remove(number);
    }
  }

  @Override
  public void read(int number, int offsetBytes, ByteBuffer target, Completion done) {
    ByteBuffer bytes;
    synchronized (this) {
      bytes = entry(number).bytes;
    }
    target.put(target.position(), bytes, offsetBytes, target.remaining());
    target.position(target.limit());
    done.succeeded();
  }

  @Override
  public synchronized void release(int[] numbers, int count) {
    for (int i = 0; i < count; i++) {
      Entry entry = entry(numbers[i]);
      if (entry.released) {
        throw new IllegalStateException("entry: " + numbers[i] + " (expected: released once)");
      }
      entry.released = true;
      if (entry.pins == 0) {
        entries.remove(numbers[i]);
      }
    }
  }

  @Override
  public boolean prefetch(int number, Completion done) {
    return false;
  }

  @Override
  public Optional<RamSlot> acquireSpare() {
    return Optional.empty();
  }

  @Override
  public int commitSpare(RamSlot slot, IntConsumer whenDropped) {
    throw new IllegalStateException("there are no spare slots");
  }

  @Override
  public boolean pinSpare(int number) {
    return false;
  }

  @Override
  public boolean keep(int number) {
    return false;
  }

  @Override
  public void kept(int[] numbers, int count) {}

  @Override
  public Tier tierOf(int number) {
    return Tier.RAM;
  }

  @Override
  public int filledPermille() {
    return 0;
  }

  @Override
  public StoreStatistics statistics() {
    return new StoreStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "");
  }

  @Override
  public void close() {}
}
