// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/// Calls that are owed to others. They are queued under whatever lock the caller holds, and made
/// later with none held, in order, by one thread at a time, in a loop: a call that causes another
/// one does not nest.
///
/// **Threads.** Any. Its own lock is the last in every order.
final class Deliveries {
  private static final System.Logger LOG = System.getLogger(Deliveries.class.getName());

  @GuardedBy("this")
  private final Deque<Runnable> calls = new ArrayDeque<>();

  @GuardedBy("this")
  private boolean delivering;

  synchronized void add(Runnable call) {
    calls.addLast(call);
  }

  /// Something is queued and nobody is at it.
  synchronized boolean isDue() {
    return !delivering && !calls.isEmpty();
  }

  /// Makes the calls, unless another thread, or this one further up, is at it.
  void deliver() {
    for (Runnable call = first(); call != null; call = next()) {
      try {
        call.run();
      } catch (RuntimeException | Error e) {
        LOG.log(System.Logger.Level.ERROR, "a completion failed", e);
      }
    }
  }

  private synchronized @Nullable Runnable first() {
    if (delivering || calls.isEmpty()) {
      return null;
    }
    delivering = true;
    return calls.removeFirst();
  }

  private synchronized @Nullable Runnable next() {
    Runnable call = calls.pollFirst();
    delivering = call != null;
    return call;
  }
}
