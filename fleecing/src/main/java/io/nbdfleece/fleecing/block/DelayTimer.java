// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/// A clock that runs things later: what nodes wait by. Any thread.
public interface DelayTimer {

  /// Nanoseconds since some instant.
  long nanoTime();

  /// Runs the task once, `delayNanos` from now or a little later, on a thread of the timer's. The
  /// task must not wait. A closed timer runs it at once, on the caller's thread.
  void after(long delayNanos, Runnable task);

  /// Whether nothing is run later any more.
  default boolean isClosed() {
    return false;
  }

  /// A timer with one thread of that name.
  static Threaded threaded(String threadName) {
    return new Threaded(threadName);
  }

  /// One with a thread; tasks that are still to come when it is closed run then, because whoever
  /// waits must not wait for ever.
  final class Threaded implements DelayTimer, AutoCloseable {
    private final ScheduledThreadPoolExecutor executor;
    private final Set<Task> waiting = ConcurrentHashMap.newKeySet();

    private Threaded(String threadName) {
      executor =
          new ScheduledThreadPoolExecutor(
              1,
              task -> {
                Thread thread = new Thread(task, threadName);
                thread.setDaemon(true);
                return thread;
              });
      // It stays: who has to wait must not fail because the system gives no thread now.
      boolean _ = executor.prestartCoreThread();
    }

    @Override
    public long nanoTime() {
      return System.nanoTime();
    }

    @Override
    public void after(long delayNanos, Runnable run) {
      Task task = new Task(run);
      waiting.add(task);
      try {
        ScheduledFuture<?> _ =
            executor.schedule(() -> runOnce(task), delayNanos, TimeUnit.NANOSECONDS);
      } catch (RejectedExecutionException closed) {
        runOnce(task);
      } catch (RuntimeException | Error e) {
        if (waiting.remove(task)) {
          throw e; // it is not run later, though the executor may have it
        }
      }
    }

    @Override
    public boolean isClosed() {
      return executor.isShutdown();
    }

    private void runOnce(Task task) {
      if (waiting.remove(task)) {
        task.run.run();
      }
    }

    @Override
    public void close() {
      List<Runnable> _ = executor.shutdownNow();
      List.copyOf(waiting).forEach(this::runOnce);
    }

    /// Each is equal to itself only.
    private static final class Task {
      private final Runnable run;

      Task(Runnable run) {
        this.run = run;
      }
    }
  }
}
