// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
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

  @Test
  @Timeout(60)
  void whenNoMoreThreadsCanBeMadeThoseThatAreThereDoTheWork() throws Exception {
    AtomicInteger asked = new AtomicInteger();
    ThreadFactory oneOnly =
        task -> {
          if (asked.incrementAndGet() > 1) {
            throw new OutOfMemoryError("unable to create native thread");
          }
          return new Thread(task, "test-io");
        };
    try (IoWorkers workers = new IoWorkers(4, oneOnly)) {
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
      assertEquals(2, asked.get());
    }
  }

  @Test
  void whereThereIsNoThreadTheCallerIsTold() {
    ThreadFactory none =
        task -> {
          throw new OutOfMemoryError("unable to create native thread");
        };
    try (IoWorkers workers = new IoWorkers(4, none)) {
      assertThrows(OutOfMemoryError.class, () -> workers.execute(() -> {}));
    }
  }
}
