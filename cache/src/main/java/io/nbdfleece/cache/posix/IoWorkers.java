// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayDeque;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/// The threads that wait for devices so that nobody else has to. There are as many as tasks were
/// under way at the same time, up to a maximum; further work queues in order. A task goes to the
/// thread that became idle last, and what has been idle for long ends, but for one thread: whatever
/// was taken is done, also while the system gives no more. Daemon threads: they do not keep the
/// process alive. Their priority is that of whoever made this, not that of who has a task.
///
/// A `ThreadPoolExecutor` makes a thread for each task until it has as many as it may, or else
/// queues while more could be had.
public final class IoWorkers implements Executor, AutoCloseable {
  private static final System.Logger LOG = System.getLogger(IoWorkers.class.getName());
  private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final int threadsMax;
  private final ThreadFactory threads;
  private final long idleNanos;

  /// Has one thread if others are ever to be started. Those begin with the priority of the thread
  /// that starts them, and tasks come from threads that [give way][ThreadPriority#giveWay], too;
  /// besides, an event loop has better things to do.
  private final ThreadPoolExecutor starter;

  private final Object lock = new Object();

  /// Taken, but no thread is free. Empty while one is idle.
  @GuardedBy("lock")
  private final ArrayDeque<Runnable> queue = new ArrayDeque<>();

  /// The last one became idle last.
  @GuardedBy("lock")
  private final ArrayDeque<Worker> idle = new ArrayDeque<>();

  /// Those that run, idle ones among them.
  @GuardedBy("lock")
  private int threadCount;

  /// Those that the system has been asked for and that do not run yet.
  @GuardedBy("lock")
  private int startingCount;

  @GuardedBy("lock")
  private boolean closed;

  /// @param name what the threads are called, followed by a number
  /// @param threadsMax how many calls may wait at the same time
  /// @throws OutOfMemoryError when the system gives no thread to begin with
  public IoWorkers(String name, int threadsMax) {
    this(threadsMax, numbered(name), IDLE_NANOS);
  }

  /// With threads of the caller's choice.
  ///
  /// @param idleNanos when a thread that has nothing to do ends, if it is not the last one
  IoWorkers(int threadsMax, ThreadFactory threads, long idleNanos) {
    this.threadsMax = threadsMax;
    this.threads = threads;
    this.idleNanos = idleNanos;
    starter =
        new ThreadPoolExecutor(
            1, 1, 0, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), numbered("nbdfleece-starter"));
    boolean _ = threadsMax > 1 && starter.prestartCoreThread();
    synchronized (lock) {
      startingCount++;
    }
    try {
      threads.newThread(new Worker(null)).start();
    } catch (RuntimeException | Error noThread) {
      starter.shutdown();
      throw noThread;
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
    Worker worker;
    synchronized (lock) {
      if (closed) {
        throw new RejectedExecutionException("closed");
      }
      worker = handOver(task);
      if (worker == null && threadCount + startingCount < threadsMax) {
        startingCount++;
      } else if (worker == null) {
        queue.add(task);
        return;
      }
    }
    if (worker != null) {
      LockSupport.unpark(worker.thread);
      return;
    }
    try {
      starter.execute(() -> startThread(task));
    } catch (OutOfMemoryError noMemory) {
      leaveToOthers(task);
    }
  }

  /// The worker to wake up for it; null if none is idle.
  @GuardedBy("lock")
  private @Nullable Worker handOver(Runnable task) {
    Worker worker = idle.pollLast();
    if (worker != null) {
      worker.task = task;
    }
    return worker;
  }

  /// On the starter; not under the lock: the system takes its time.
  private void startThread(Runnable first) {
    try {
      threads.newThread(new Worker(first)).start();
    } catch (OutOfMemoryError noThread) {
      leaveToOthers(first);
    } catch (RuntimeException | Error notStarted) {
      tell(notStarted);
      leaveToOthers(first);
    }
  }

  /// The starter does it itself when the others have ended: after [#close].
  private void leaveToOthers(Runnable task) {
    Worker worker;
    boolean alone;
    synchronized (lock) {
      worker = handOver(task);
      // Who is being started looks into the queue.
      alone = worker == null && threadCount == 0 && startingCount == 1;
      if (!alone) {
        if (worker == null) {
          queue.add(task);
        }
        startingCount--;
        lock.notifyAll();
      }
    }
    if (worker != null) {
      LockSupport.unpark(worker.thread);
    }
    if (alone) {
      new Worker(task).run();
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
    synchronized (lock) {
      return threadCount + startingCount;
    }
  }

  /// Takes no more work, and returns when all that was taken is done and the threads have nothing
  /// more to do. Must not be called on one of them. An interrupt does not shorten it.
  @Override
  public void close() {
    boolean interrupted = false;
    synchronized (lock) {
      closed = true;
      for (Worker worker : idle) {
        LockSupport.unpark(worker.thread);
      }
      while (threadCount + startingCount > 0) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    starter.shutdown();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private final class Worker implements Runnable {

    /// What to do next; null while it is idle, or does it. Under the lock.
    private @Nullable Runnable task;

    /// Set before it is idle for the first time.
    private @Nullable Thread thread;

    Worker(@Nullable Runnable first) {
      task = first;
    }

    @Override
    public void run() {
      thread = Thread.currentThread();
      synchronized (lock) {
        startingCount--;
        threadCount++;
      }
      for (Runnable next = next(); next != null; next = next()) {
        runLogged(next);
      }
    }

    /// Null when the thread has to end.
    private @Nullable Runnable next() {
      synchronized (lock) {
        Runnable next = task == null ? queue.poll() : take();
        if (next != null) {
          return next;
        }
        idle.addLast(this);
      }
      return awaitTask();
    }

    @GuardedBy("lock")
    private @Nullable Runnable take() {
      Runnable taken = task;
      task = null;
      return taken;
    }

    private @Nullable Runnable awaitTask() {
      long since = System.nanoTime();
      while (true) {
        synchronized (lock) {
          if (task != null) {
            return take();
          }
          boolean expired = System.nanoTime() - since >= idleNanos && threadCount > 1;
          if (closed || expired) {
            boolean _ = idle.remove(this);
            threadCount--;
            lock.notifyAll();
            return null;
          }
        }
        boolean _ = Thread.interrupted(); // left by a task; parking would return at once
        long leftNanos = idleNanos - (System.nanoTime() - since);
        if (leftNanos > 0) {
          LockSupport.parkNanos(this, leftNanos);
        } else {
          LockSupport.park(this); // the last one
        }
      }
    }
  }
}
