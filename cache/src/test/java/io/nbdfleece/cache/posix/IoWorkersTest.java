// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class IoWorkersTest {

  @Test
  void asManyTasksRunAtOnceAsThreadsAreAllowed() throws Exception {
    try (IoWorkers workers = new IoWorkers("test-io", 4)) {
      CyclicBarrier together = new CyclicBarrier(4);
      CountDownLatch done = new CountDownLatch(8);
      for (int i = 0; i < 8; i++) {
        workers.execute(
            () -> {
              try {
                together.await();
              } catch (Exception e) {
                throw new IllegalStateException(e);
              }
              done.countDown();
            });
      }
      done.await();
      assertEquals(4, workers.threadCount());
    }
  }

  @Test
  void threadsAreNamedDaemons() throws Exception {
    try (IoWorkers workers = new IoWorkers("test-io", 1)) {
      CountDownLatch done = new CountDownLatch(1);
      workers.execute(
          () -> {
            if (Thread.currentThread().getName().equals("test-io-1")
                && Thread.currentThread().isDaemon()) {
              done.countDown();
            }
          });
      done.await();
    }
  }

  @Test
  void closeWaitsForTheWorkAndRefusesMore() {
    AtomicInteger ran = new AtomicInteger();
    IoWorkers workers = new IoWorkers("test-io", 2);
    for (int i = 0; i < 100; i++) {
      workers.execute(ran::incrementAndGet);
    }
    workers.close();
    assertEquals(100, ran.get());
    assertThrows(RejectedExecutionException.class, () -> workers.execute(ran::incrementAndGet));
    assertTrue(ran.get() == 100);
  }

  /// A system that gives so many threads.
  ///
  /// @param asked counts how many it was asked for
  private static ThreadFactory threads(int countMax, AtomicInteger asked) {
    return task -> {
      if (asked.incrementAndGet() > countMax) {
        throw new OutOfMemoryError("unable to create native thread");
      }
      return new Thread(task, "test-io");
    };
  }

  @Test
  @Timeout(60)
  void whenNoMoreThreadsCanBeMadeThoseThatAreThereDoTheWork() throws Exception {
    AtomicInteger asked = new AtomicInteger();
    try (IoWorkers workers = new IoWorkers(4, threads(1, asked), TimeUnit.SECONDS.toNanos(10))) {
      CountDownLatch second = new CountDownLatch(1);
      CountDownLatch done = new CountDownLatch(2);
      workers.execute(
          () -> {
            try {
              second.await();
            } catch (InterruptedException e) {
              throw new IllegalStateException(e);
            }
            done.countDown();
          });
      workers.execute(done::countDown);
      second.countDown();
      done.await();
      assertEquals(1, workers.threadCount());
      assertEquals(3, asked.get(), "one at the start, and one for each task");
    }
  }

  /// Two more are made and end, which shows that idling is over.
  @Test
  @Timeout(60)
  void oneThreadNeverEndsSoThatWhatIsTakenIsDoneThoughTheSystemGivesNone() throws Exception {
    try (IoWorkers workers = new IoWorkers(3, threads(3, new AtomicInteger()), 1)) {
      assertEquals(1, workers.threadCount());
      CyclicBarrier together = new CyclicBarrier(3);
      for (int i = 0; i < 3; i++) {
        workers.execute(
            () -> {
              try {
                together.await();
              } catch (Exception e) {
                throw new IllegalStateException(e);
              }
            });
      }
      while (workers.threadCount() > 1) {
        Thread.onSpinWait();
      }
      for (int i = 0; i < 1000; i++) {
        CountDownLatch done = new CountDownLatch(1);
        workers.execute(done::countDown);
        done.await();
      }
      assertEquals(1, workers.threadCount());
    }
  }

  @Test
  @Timeout(60)
  void taskThatFailsDoesNotEndTheLastThread() throws Exception {
    try (IoWorkers workers = new IoWorkers(4, threads(1, new AtomicInteger()), 1)) {
      CountDownLatch done = new CountDownLatch(1);
      workers.execute(
          () -> {
            throw new StackOverflowError("by the test");
          });
      workers.execute(done::countDown);
      done.await();
    }
  }

  @Test
  void whereThereIsNoThreadAtAllTheCallerIsToldAtTheStart() {
    ThreadFactory none = threads(0, new AtomicInteger());
    assertThrows(OutOfMemoryError.class, () -> new IoWorkers(4, none, 1));
  }
}
