// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.IoHandler;
import io.netty.channel.IoHandlerContext;
import java.util.concurrent.Semaphore;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// How an event loop waits: while its sleeps are short, it looks for events a little longer before
/// it goes to sleep. A client that sends one request after the other then does not pay for waking
/// the loop up each time, which takes longer than the request itself, above all on a virtual
/// machine.
///
/// It spins for [#SPIN_NANOS] at most, and only after a sleep shorter than [#BRIEF_NANOS]; when a
/// spin was in vain, it sleeps [#SLEEPS_AFTER_VAIN_SPIN] times before it tries again. So an idle
/// loop sleeps, a loop that spins in vain loses a few percent of its time, and one with much to do
/// never waits.
///
/// Used on one event loop.
final class BriefSpin {
  static final long SPIN_NANOS = 50_000;

  /// The spin, and as much again for waking up.
  static final long BRIEF_NANOS = 100_000;

  static final int SLEEPS_AFTER_VAIN_SPIN = 16;

  private final IoHandler events;
  private final Semaphore spinners;
  private final LongSupplier nanoClock;
  private @Nullable Watched watched;
  private boolean brief;
  private int sleepsDue;

  /// @param spinners how many event loops may spin at the same time
  BriefSpin(IoHandler events, Semaphore spinners, LongSupplier nanoClock) {
    this.events = events;
    this.spinners = spinners;
    this.nanoClock = nanoClock;
  }

  /// As [IoHandler#run].
  int run(IoHandlerContext context) {
    if (!context.canBlock()) {
      return events.run(context);
    }
    Watched loop = watched(context);
    if (brief && spinners.tryAcquire()) {
      int handled;
      try {
        handled = spin(loop);
      } finally {
        spinners.release();
      }
      if (handled > 0 || !context.canBlock()) {
        return handled;
      }
      sleepsDue = SLEEPS_AFTER_VAIN_SPIN;
    }
    return sleep(loop);
  }

  private int spin(Watched loop) {
    loop.mayBlock = false;
    long began = nanoClock.getAsLong();
    int handled;
    do {
      handled = events.run(loop);
      // Looks for tasks, too: nobody is woken up for one who does not sleep.
    } while (handled == 0 && loop.context.canBlock() && nanoClock.getAsLong() - began < SPIN_NANOS);
    return handled;
  }

  private int sleep(Watched loop) {
    loop.mayBlock = true;
    loop.activeNanos = 0;
    long began = nanoClock.getAsLong();
    int handled = events.run(loop);
    long sleptNanos = nanoClock.getAsLong() - began - loop.activeNanos;
    if (sleepsDue > 0) {
      sleepsDue--;
    }
    brief = sleepsDue == 0 && sleptNanos < BRIEF_NANOS;
    return handled;
  }

  @SuppressWarnings("ReferenceEquality") // always the same object so far
  private Watched watched(IoHandlerContext context) {
    Watched known = watched;
    if (known == null || known.context != context) {
      known = new Watched(context);
      watched = known;
    }
    return known;
  }

  /// The loop's context, except that it blocks only when it may, and tells how long the work at the
  /// end of a sleep took.
  private static final class Watched implements IoHandlerContext {
    final IoHandlerContext context;
    boolean mayBlock;
    long activeNanos;

    Watched(IoHandlerContext context) {
      this.context = context;
    }

    @Override
    public boolean canBlock() {
      return mayBlock && context.canBlock();
    }

    @Override
    public long delayNanos(long currentTimeNanos) {
      return context.delayNanos(currentTimeNanos);
    }

    @Override
    public long deadlineNanos() {
      return context.deadlineNanos();
    }

    @Override
    public void reportActiveIoTime(long nanos) {
      activeNanos = nanos;
      if (context.shouldReportActiveIoTime()) {
        context.reportActiveIoTime(nanos);
      }
    }

    @Override
    public boolean shouldReportActiveIoTime() {
      return mayBlock || context.shouldReportActiveIoTime();
    }
  }
}
