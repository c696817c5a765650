// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.ClusterStore.SlotCompletion;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/// Who waits for slots, the longest first. It calls nobody: what they have to be told goes to
/// [Deliveries].
///
/// Not thread-safe: guarded by the store's lock.
final class SlotWaiters {
  private static final System.Logger LOG = System.getLogger(SlotWaiters.class.getName());

  private final Deliveries deliveries;
  private final Deque<Waiter> queue = new ArrayDeque<>();

  SlotWaiters(Deliveries deliveries) {
    this.deliveries = deliveries;
  }

  boolean isEmpty() {
    return queue.isEmpty();
  }

  void add(int count, SlotCompletion done) {
    queue.addLast(new Waiter(count, done));
  }

  /// Gives away what is free, to each as much as it lacks.
  void serve(RamSlots slots) {
    while (!queue.isEmpty()) {
      Waiter first = queue.getFirst();
      List<RamSlot> given = takeFree(slots, first.missing);
      if (given.isEmpty()) {
        return;
      }
      deliveries.add(() -> first.done.acquired(given));
      first.missing -= given.size();
      if (first.missing == 0) {
        queue.removeFirst();
      }
    }
  }

  private static List<RamSlot> takeFree(RamSlots slots, int countMax) {
    List<RamSlot> taken = new ArrayList<>();
    try {
      Slot slot = slots.take();
      while (slot != null) {
        taken.add(slot);
        slot = taken.size() < countMax ? slots.take() : null;
      }
    } catch (OutOfMemoryError none) {
      // They wait on, for what others give back.
      LOG.log(System.Logger.Level.DEBUG, "no memory for a slot", none);
    }
    return taken;
  }

  /// None of them waits any more.
  void fail(IOException error) {
    for (Waiter waiter : queue) {
      deliveries.add(() -> waiter.done.failed(error));
    }
    queue.clear();
  }

  /// One of them.
  private static final class Waiter {
    final SlotCompletion done;
    int missing;

    Waiter(int missing, SlotCompletion done) {
      this.missing = missing;
      this.done = done;
    }
  }
}
