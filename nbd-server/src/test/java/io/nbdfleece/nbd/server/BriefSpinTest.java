// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.netty.channel.IoHandle;
import io.netty.channel.IoHandler;
import io.netty.channel.IoHandlerContext;
import io.netty.channel.IoRegistration;
import java.util.concurrent.Semaphore;
import org.junit.jupiter.api.Test;

class BriefSpinTest {
  private final ScriptedEvents events = new ScriptedEvents();
  private final Semaphore spinners = new Semaphore(1);
  private final BriefSpin spin = new BriefSpin(events, spinners, () -> events.nowNanos);
  private final Loop loop = new Loop();

  @Test
  void firstWaitSleeps() {
    waitFor(1000);
    assertEquals(1, events.sleeps);
    assertEquals(0, events.looks);
  }

  @Test
  void afterAShortSleepAnEventIsFoundWithoutSleeping() {
    waitFor(1000);
    waitFor(BriefSpin.SPIN_NANOS / 2);
    waitFor(BriefSpin.SPIN_NANOS / 2);
    assertEquals(1, events.sleeps);
  }

  @Test
  void afterALongSleepItSleepsAgain() {
    waitFor(BriefSpin.BRIEF_NANOS);
    waitFor(1000);
    assertEquals(2, events.sleeps);
    assertEquals(0, events.looks);
  }

  @Test
  void workAtTheEndOfASleepDoesNotCount() {
    events.workNanos = BriefSpin.BRIEF_NANOS;
    waitFor(1000);
    waitFor(1000);
    assertEquals(1, events.sleeps);
  }

  @Test
  void spinsNoLongerThanAllowed() {
    waitFor(1000);
    long began = events.nowNanos;
    waitFor(BriefSpin.SPIN_NANOS + ScriptedEvents.LOOK_NANOS);
    assertEquals(2, events.sleeps);
    assertEquals(BriefSpin.SPIN_NANOS, events.lastLookNanos - began);
  }

  @Test
  void afterASpinInVainItSleepsManyTimes() {
    waitFor(1000);
    waitFor(BriefSpin.SPIN_NANOS + 1000);
    int looks = events.looks;
    for (int sleep = 1; sleep < BriefSpin.SLEEPS_AFTER_VAIN_SPIN; sleep++) {
      waitFor(1000);
    }
    assertEquals(looks, events.looks);
    assertEquals(1 + BriefSpin.SLEEPS_AFTER_VAIN_SPIN, events.sleeps);
    waitFor(1000);
    assertEquals(1 + BriefSpin.SLEEPS_AFTER_VAIN_SPIN, events.sleeps);
  }

  @Test
  void taskThatComesWhileSpinningIsSeenAtOnce() {
    waitFor(1000);
    events.taskAtNanos = events.nowNanos + 10 * ScriptedEvents.LOOK_NANOS;
    events.eventAtNanos = Long.MAX_VALUE;
    assertEquals(0, spin.run(loop));
    assertEquals(10, events.looks);
    assertEquals(1, events.sleeps);
  }

  @Test
  void loopThatMayNotBlockOnlyLooks() {
    events.taskAtNanos = 0;
    events.eventAtNanos = Long.MAX_VALUE;
    assertEquals(0, spin.run(loop));
    assertEquals(1, events.looks);
  }

  @Test
  void noMoreLoopsSpinThanMay() {
    waitFor(1000);
    spinners.acquireUninterruptibly();
    waitFor(1000);
    assertEquals(2, events.sleeps);
    spinners.release();
    waitFor(1000);
    assertEquals(2, events.sleeps);
    assertEquals(1, spinners.availablePermits());
  }

  private void waitFor(long nanos) {
    events.eventAtNanos = events.nowNanos + nanos;
    assertEquals(1, spin.run(loop));
  }

  /// What an event loop says of itself.
  private final class Loop implements IoHandlerContext {
    @Override
    public boolean canBlock() {
      return events.nowNanos < events.taskAtNanos;
    }

    @Override
    public long delayNanos(long currentTimeNanos) {
      return Long.MAX_VALUE;
    }

    @Override
    public long deadlineNanos() {
      return -1;
    }
  }

  /// One event at a given time; looking for it takes time.
  private static final class ScriptedEvents implements IoHandler {
    static final long LOOK_NANOS = 500;

    long nowNanos = 1_000_000;
    long eventAtNanos;
    long taskAtNanos = Long.MAX_VALUE;
    long lastLookNanos;
    long workNanos;
    int sleeps;
    int looks;

    @Override
    public int run(IoHandlerContext context) {
      if (context.canBlock()) {
        sleeps++;
        nowNanos = Math.max(nowNanos, eventAtNanos) + workNanos;
        context.reportActiveIoTime(workNanos);
      } else {
        looks++;
        nowNanos += LOOK_NANOS;
        lastLookNanos = nowNanos;
      }
      return nowNanos >= eventAtNanos ? 1 : 0;
    }

    @Override
    public IoRegistration register(IoHandle handle) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void wakeup() {}

    @Override
    public boolean isCompatible(Class<? extends IoHandle> handleType) {
      return false;
    }
  }
}
