// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// The threads that wait for devices so that nobody else has to. There are as many as work asks
/// for, up to a maximum; further work queues in order. Idle threads end. Daemon threads: they do
/// not keep the process alive.
public final class IoWorkers implements Executor, AutoCloseable {
  private static final System.Logger LOG = System.getLogger(IoWorkers.class.getName());
  private static final long IDLE_SECONDS = 10;

  private final ThreadPoolExecutor pool;

  /// @param name what the threads are called, followed by a number
  /// @param threadsMax how many calls may wait at the same time
  public IoWorkers(String name, int threadsMax) {
    this(threadsMax, numbered(name));
  }

  /// With threads of the caller's choice.
  IoWorkers(int threadsMax, ThreadFactory threads) {
    pool =
        new ThreadPoolExecutor(
            threadsMax,
            threadsMax,
            IDLE_SECONDS,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            threads);
    pool.allowCoreThreadTimeOut(true);
  }

  private static ThreadFactory numbered(String name) {
    AtomicInteger number = new AtomicInteger();
    return task -> {
      Thread thread = new Thread(task, name + "-" + number.incrementAndGet());
      thread.setDaemon(true);
      return thread;
    };
  }

  /// Runs `task` on one of the threads, soon. What it throws is logged. When the system gives no
  /// more threads, those that there are do the work.
  ///
  /// @throws java.util.concurrent.RejectedExecutionException after [#close]
  /// @throws OutOfMemoryError when there is no thread and none can be made
  @Override
  public void execute(Runnable task) {
    Runnable logged = () -> runLogged(task);
    try {
      pool.execute(logged);
    } catch (OutOfMemoryError noThread) {
      // The pool would make one although others are idle. Whoever waits for this task must not
      // wait for ever because of that.
      if (pool.getPoolSize() == 0 || !pool.getQueue().offer(logged)) {
        throw noThread;
      }
    }
  }

  private static void runLogged(Runnable task) {
    try {
      task.run();
    } catch (RuntimeException | Error e) {
      LOG.log(System.Logger.Level.ERROR, "a task of the I/O workers failed", e);
    }
  }

  /// The threads that exist now. For people.
  public int threadCount() {
    return pool.getPoolSize();
  }

  /// Takes no more work, and returns when all that was taken is done. Must not be called on one of
  /// the threads.
  @Override
  public void close() {
    pool.close();
  }
}
