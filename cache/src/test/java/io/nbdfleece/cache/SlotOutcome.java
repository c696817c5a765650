// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// Records the answer to an acquire, and that it comes once.
final class SlotOutcome implements ClusterStore.SlotCompletion {
  private final int wanted;
  private final CountDownLatch told = new CountDownLatch(1);
  private final List<RamSlot> slots = new CopyOnWriteArrayList<>();
  private final AtomicInteger callCount = new AtomicInteger();
  private volatile Optional<IOException> error = Optional.empty();

  /// Of an acquire of one.
  SlotOutcome() {
    this(1);
  }

  SlotOutcome(int wanted) {
    this.wanted = wanted;
  }

  @Override
  public void acquired(List<RamSlot> given) {
    assertFalse(isDone(), "told twice");
    assertFalse(given.isEmpty(), "told of nothing");
    callCount.incrementAndGet();
    slots.addAll(given);
    assertTrue(slots.size() <= wanted, "more than wanted");
    if (slots.size() == wanted) {
      told.countDown();
    }
  }

  @Override
  public void failed(IOException failure) {
    assertFalse(isDone(), "told twice");
    error = Optional.of(failure);
    told.countDown();
  }

  boolean isDone() {
    return told.getCount() == 0;
  }

  /// In how many calls.
  int callCount() {
    return callCount.get();
  }

  /// What has been given up to now.
  List<RamSlot> given() {
    return slots;
  }

  /// The first slot, when all have been given.
  RamSlot slot() throws IOException {
    try {
      assertTrue(told.await(60, TimeUnit.SECONDS), "not told");
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    if (error.isPresent()) {
      throw error.get();
    }
    return slots.getFirst();
  }
}
