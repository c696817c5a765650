// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
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
              awaitUninterrupted(together);
              done.countDown();
            });
      }
      done.await();
      assertEquals(4, workers.threadCount());
    }
  }

  /// The threads that were made, in order.
  private static ThreadFactory remembered(List<Thread> made) {
    return task -> {
      Thread thread = new Thread(task, "test-io");
      made.add(thread);
      return thread;
    };
  }

  /// Until they wait for their next task: what they wait for then is their own Runnable.
  private static void awaitIdle(List<Thread> threads) {
    for (Thread thread : threads) {
      while (!(LockSupport.getBlocker(thread) instanceof Runnable)) {
        Thread.onSpinWait();
      }
    }
  }

  @Test
  @Timeout(60)
  void noThreadIsMadeWhileOneIsIdle() throws Exception {
    List<Thread> made = new CopyOnWriteArrayList<>();
    try (IoWorkers workers = new IoWorkers(4, remembered(made), TimeUnit.MINUTES.toNanos(1))) {
      for (int i = 0; i < 100; i++) {
        awaitIdle(made);
        CountDownLatch done = new CountDownLatch(1);
        workers.execute(done::countDown);
        done.await();
      }
      assertEquals(1, workers.threadCount());
      assertEquals(1, made.size());
    }
  }

  /// So that the others can end: with the longest idle first, tasks now and then would keep all.
  @Test
  @Timeout(60)
  void taskGoesToTheThreadThatBecameIdleLast() throws Exception {
    List<Thread> made = new CopyOnWriteArrayList<>();
    try (IoWorkers workers = new IoWorkers(3, remembered(made), TimeUnit.MINUTES.toNanos(1))) {
      awaitIdle(made);
      List<CountDownLatch> ends = new ArrayList<>();
      CountDownLatch begun = new CountDownLatch(3);
      for (int i = 0; i < 3; i++) {
        CountDownLatch end = new CountDownLatch(1);
        ends.add(end);
        workers.execute(
            () -> {
              begun.countDown();
              awaitUninterrupted(end);
            });
      }
      begun.await(); // who has not woken up yet would look idle still
      for (int i : new int[] {2, 0, 1}) {
        ends.get(i).countDown();
        awaitIdle(List.of(made.get(i)));
      }
      for (int i = 0; i < 10; i++) {
        AtomicReference<Thread> by = new AtomicReference<>();
        CountDownLatch done = new CountDownLatch(1);
        workers.execute(
            () -> {
              by.set(Thread.currentThread());
              done.countDown();
            });
        done.await();
        assertEquals(made.get(1), by.get());
        awaitIdle(made);
      }
    }
  }

  private static void awaitUninterrupted(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /// Threads end and begin all the time, and the system often gives none.
  @Test
  @Timeout(60)
  void nothingIsLostWhileThreadsComeAndGo() throws Exception {
    AtomicInteger ran = new AtomicInteger();
    AtomicInteger asked = new AtomicInteger();
    ThreadFactory mean =
        task -> {
          if (asked.incrementAndGet() % 3 == 0) {
            throw new OutOfMemoryError("unable to create native thread");
          }
          return new Thread(task, "test-io");
        };
    int perCaller = 20_000;
    try (IoWorkers workers = new IoWorkers(4, mean, 1)) {
      List<Thread> callers = new ArrayList<>();
      for (int caller = 0; caller < 3; caller++) {
        callers.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      for (int i = 0; i < perCaller; i++) {
                        workers.execute(ran::incrementAndGet);
                      }
                    }));
      }
      for (Thread caller : callers) {
        caller.join();
      }
      while (ran.get() < 3 * perCaller) {
        Thread.onSpinWait();
      }
      assertTrue(asked.get() > 3, "threads were asked for " + asked.get() + " times");
    }
  }

  @Test
  @Timeout(60)
  void interruptThatTaskLeavesDoesNotEndTheThread() throws Exception {
    List<Thread> made = new CopyOnWriteArrayList<>();
    try (IoWorkers workers = new IoWorkers(1, remembered(made), 1)) {
      workers.execute(() -> Thread.currentThread().interrupt());
      CountDownLatch done = new CountDownLatch(1);
      workers.execute(done::countDown);
      done.await();
      awaitIdle(made);
      assertEquals(1, made.size());
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

  /// Who has something to do may be a backup's thread, the next one a guest's.
  @Test
  @Timeout(60)
  void threadsHaveThePriorityOfWhoeverMadeThemNotOfWhoeverHasTheTask() throws Exception {
    int tasks = 3;
    List<Integer> nices = new CopyOnWriteArrayList<>();
    try (IoWorkers workers = new IoWorkers("test-io", tasks)) {
      CyclicBarrier together = new CyclicBarrier(tasks);
      CountDownLatch done = new CountDownLatch(tasks);
      Thread backup =
          Thread.ofPlatform()
              .start(
                  () -> {
                    ThreadPriority.giveWay();
                    for (int i = 0; i < tasks; i++) {
                      workers.execute(
                          () -> {
                            nices.add(ThreadPriorityTest.nice());
                            awaitUninterrupted(together);
                            done.countDown();
                          });
                    }
                  });
      backup.join();
      done.await();
    }
    assertEquals(Collections.nCopies(tasks, ThreadPriorityTest.nice()), nices);
  }

  private static void awaitUninterrupted(CyclicBarrier barrier) {
    try {
      barrier.await();
    } catch (InterruptedException | BrokenBarrierException e) {
      throw new IllegalStateException(e);
    }
  }

  /// The only thread there is ends while the system is asked for another one, and gives none.
  @Test
  @Timeout(60)
  void whatWasTakenIsDoneThoughNoThreadIsGivenAndTheOthersHaveEnded() throws Exception {
    List<Thread> made = new CopyOnWriteArrayList<>();
    CountDownLatch closing = new CountDownLatch(1);
    ThreadFactory late =
        task -> {
          if (made.isEmpty()) {
            made.add(new Thread(task, "test-io"));
            return made.getFirst();
          }
          closing.countDown();
          try {
            made.getFirst().join();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
          throw new OutOfMemoryError("unable to create native thread");
        };
    AtomicInteger ran = new AtomicInteger();
    CountDownLatch end = new CountDownLatch(1);
    try (IoWorkers workers = new IoWorkers(2, late, 1)) {
      workers.execute(
          () -> {
            awaitUninterrupted(end);
            ran.incrementAndGet();
          });
      workers.execute(ran::incrementAndGet);
      closing.await();
      end.countDown();
    }
    assertEquals(2, ran.get());
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
      assertTrue(asked.get() > 1, "no second one was asked for");
    }
  }

  /// Two more are made and end, which shows that idling is over.
  @Test
  @Timeout(60)
  void oneThreadNeverEndsSoThatWhatIsTakenIsDoneThoughTheSystemGivesNone() throws Exception {
    // The first thread may end while the others are made, so a fourth one may be needed.
    AtomicInteger asked = new AtomicInteger();
    try (IoWorkers workers = new IoWorkers(3, threads(4, asked), 1)) {
      assertEquals(1, workers.threadCount());
      CyclicBarrier together = new CyclicBarrier(3);
      for (int i = 0; i < 3; i++) {
        workers.execute(
            () -> {
              awaitUninterrupted(together);
            });
      }
      while (workers.threadCount() > 1) {
        Thread.onSpinWait();
      }
      asked.set(4);
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
