// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

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
}
