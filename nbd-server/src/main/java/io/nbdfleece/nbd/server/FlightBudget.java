// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/// How many bytes all connections of a server together may have in flight, beyond what each of them
/// has for itself ([FlightShare]). Thread-safe.
///
/// Taking and giving back is one atomic operation while there is enough. When there is not,
/// connections queue up, and what comes free is granted in that order: who comes later takes
/// nothing while somebody waits. A grant cannot be missed: a waiter is served once more after it
/// has become visible, and who gives back looks for waiters after the bytes are free.
final class FlightBudget {
  private final long bytesMax;
  private final AtomicLong takenBytes = new AtomicLong();
  private final Object lock = new Object();

  @GuardedBy("lock")
  private final ArrayDeque<Waiter> waiters = new ArrayDeque<>();

  /// Whether there are waiters.
  private volatile boolean contended;

  /// Who waits for bytes: a [FlightShare].
  interface Waiter {

    /// How many it waits for. Called under the lock of the budget.
    long awaitedBytes();

    /// It waits for so many now. Called under the lock of the budget, while it is queued.
    void awaits(long bytes);

    /// The budget has taken [#awaitedBytes] for it, and it is not queued any more. Any thread,
    /// under no lock.
    void granted();
  }

  FlightBudget(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  long bytesMax() {
    return bytesMax;
  }

  /// Whether somebody waits.
  boolean isContended() {
    return contended;
  }

  /// Whether somebody else waits.
  boolean isAwaitedByOthers(Waiter holder) {
    synchronized (lock) {
      return waiters.stream().anyMatch(waiter -> !waiter.equals(holder));
    }
  }

  /// For tests.
  long takenBytes() {
    return takenBytes.get();
  }

  /// Takes them unless that would be too many or others wait.
  boolean tryTake(long bytes) {
    return !contended && fits(bytes);
  }

  /// Takes them in any case: for what is there already.
  void take(long bytes) {
    takenBytes.addAndGet(bytes);
  }

  void giveBack(long bytes) {
    takenBytes.addAndGet(-bytes);
    if (contended) {
      serve();
    }
  }

  /// Queues up; [Waiter#granted] follows unless [#leave] comes first.
  void queue(Waiter waiter) {
    synchronized (lock) {
      waiters.add(waiter);
      contended = true;
    }
    serve();
  }

  /// Waits for so much now, in the same place of the queue; nothing changes when the grant has been
  /// made.
  void revise(Waiter waiter, long awaitedBytes) {
    synchronized (lock) {
      if (waiters.contains(waiter)) {
        waiter.awaits(awaitedBytes);
      }
    }
    serve();
  }

  /// No longer waits. Whether it did: otherwise the grant has been made.
  boolean leave(Waiter waiter) {
    boolean waited;
    synchronized (lock) {
      waited = waiters.remove(waiter);
      contended = !waiters.isEmpty();
    }
    if (waited) {
      // It may have stood before others that need less.
      serve();
    }
    return waited;
  }

  private void serve() {
    List<Waiter> served = new ArrayList<>();
    synchronized (lock) {
      Waiter first;
      while ((first = waiters.peek()) != null && fits(first.awaitedBytes())) {
        waiters.remove();
        served.add(first);
      }
      contended = !waiters.isEmpty();
    }
    for (Waiter waiter : served) {
      waiter.granted();
    }
  }

  private boolean fits(long bytes) {
    long before;
    do {
      before = takenBytes.get();
      if (bytes > bytesMax - before) {
        return false;
      }
    } while (!takenBytes.compareAndSet(before, before + bytes));
    return true;
  }
}
