// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// The threads that wait for devices so that nobody else has to. There are as many as work asks
/// for, up to a maximum; further work queues in order. Idle threads end, but for one: whatever was
/// taken is done, also while the system gives no more threads. Daemon threads: they do not keep the
/// process alive.
public final class IoWorkers implements Executor, AutoCloseable {
  private static final System.Logger LOG = System.getLogger(IoWorkers.class.getName());
  private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final ThreadPoolExecutor pool;

  /// @param name what the threads are called, followed by a number
  /// @param threadsMax how many calls may wait at the same time
  /// @throws OutOfMemoryError when the system gives not a single thread
  public IoWorkers(String name, int threadsMax) {
    this(threadsMax, numbered(name), IDLE_NANOS);
  }

  /// With threads of the caller's choice.
  ///
  /// @param idleNanos when a thread that has nothing to do ends, if it is not the last one
  IoWorkers(int threadsMax, ThreadFactory threads, long idleNanos) {
    pool =
        new ThreadPoolExecutor(
            threadsMax, threadsMax, idleNanos, TimeUnit.NANOSECONDS, new WorkQueue(), threads);
    pool.allowCoreThreadTimeOut(true);
    boolean _ = pool.prestartCoreThread();
  }

  /// Lets the first thread that has nothing to do wait for work for ever.
  private static final class WorkQueue extends LinkedBlockingQueue<Runnable> {
    private static final long serialVersionUID = 1;

    private final transient AtomicReference<@Nullable Thread> kept = new AtomicReference<>();

    @Override
    public @Nullable Runnable poll(long timeout, TimeUnit unit) throws InterruptedException {
      Thread self = Thread.currentThread();
      boolean isKept = self.equals(kept.get()) || kept.compareAndSet(null, self);
      return isKept ? take() : super.poll(timeout, unit); // the end of the pool interrupts
    }
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
  /// @throws RejectedExecutionException after [#close]
  @Override
  public void execute(Runnable task) {
    Runnable logged = () -> runLogged(task);
    try {
      pool.execute(logged);
    } catch (OutOfMemoryError noThread) {
      // The pool would make one although others are idle. Whoever waits for this task must not
      // wait for ever because of that.
      if (!pool.getQueue().offer(logged)) {
        throw noThread;
      }
      if (pool.isShutdown() && pool.remove(logged)) {
        throw new RejectedExecutionException("closed", noThread);
      }
    }
  }

  private static void runLogged(Runnable task) {
    try {
      task.run();
    } catch (RuntimeException | Error e) {
      tell(e);
    }
  }

  /// Never fails: that would end the thread, and it may be the last one.
  private static void tell(Throwable failure) {
    try {
      LOG.log(System.Logger.Level.ERROR, "a task of the I/O workers failed", failure);
    } catch (RuntimeException | Error unlogged) {
      failure.addSuppressed(unlogged); // there is nobody else to tell
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
