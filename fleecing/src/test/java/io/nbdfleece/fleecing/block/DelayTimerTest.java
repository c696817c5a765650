// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class DelayTimerTest {

  @Test
  void tasksRunOnTheTimersThread() throws InterruptedException {
    try (DelayTimer.Threaded timer = DelayTimer.threaded("tick")) {
      CountDownLatch ran = new CountDownLatch(1);
      timer.after(
          1000,
          () -> {
            if (Thread.currentThread().getName().equals("tick")) {
              ran.countDown();
            }
          });
      assertTrue(ran.await(20, TimeUnit.SECONDS));
    }
  }

  @Test
  void whatStillWaitsRunsWhenTheTimerIsClosed() {
    AtomicInteger ran = new AtomicInteger();
    try (DelayTimer.Threaded timer = DelayTimer.threaded("tick")) {
      timer.after(Long.MAX_VALUE / 2, ran::incrementAndGet);
      timer.after(Long.MAX_VALUE / 2, ran::incrementAndGet);
    }
    assertEquals(2, ran.get());
  }

  @Test
  void aClosedTimerRunsTasksAtOnce() {
    AtomicInteger ran = new AtomicInteger();
    DelayTimer.Threaded timer = DelayTimer.threaded("tick");
    timer.close();
    timer.after(Long.MAX_VALUE / 2, ran::incrementAndGet);
    assertEquals(1, ran.get());
  }
}
