// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/// What signals, the control socket and others want of the main thread, which waits here. Any
/// thread may ask, and asking returns at once; one thread takes.
final class ServeEvents {
  private final AtomicBoolean stopWanted = new AtomicBoolean();
  private final AtomicBoolean reloadWanted = new AtomicBoolean();
  private final Semaphore asked = new Semaphore(0);

  /// What to do next.
  enum Event {
    /// End. Comes before everything else, and again each time from then on.
    STOP,
    /// Read certificates and keys again; asked for several times it comes once.
    RELOAD,
    /// Nothing was wanted for as long as the taker said.
    TICK
  }

  void stop() {
    stopWanted.set(true);
    asked.release();
  }

  void reload() {
    if (!reloadWanted.getAndSet(true)) {
      asked.release();
    }
  }

  /// Waits for the next event. An interrupt means [Event#STOP]: nothing of ours interrupts, so
  /// somebody wants the process to end.
  Event next(long tickNanos) {
    boolean isAsked;
    try {
      isAsked = asked.tryAcquire(tickNanos, TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      stop();
      Thread.currentThread().interrupt();
      return Event.STOP;
    }
    if (stopWanted.get()) {
      return Event.STOP;
    }
    return isAsked && reloadWanted.getAndSet(false) ? Event.RELOAD : Event.TICK;
  }
}
