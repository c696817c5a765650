// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

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

  /// A timer with one thread of that name.
  static Threaded threaded(String threadName) {
    return new Threaded(threadName);
  }

  /// One with a thread; tasks that are still to come when it is closed run then.
  final class Threaded implements DelayTimer, AutoCloseable {
    private final ScheduledThreadPoolExecutor executor;

    private Threaded(String threadName) {
      executor =
          new ScheduledThreadPoolExecutor(
              1,
              task -> {
                Thread thread = new Thread(task, threadName);
                thread.setDaemon(true);
                return thread;
              });
      executor.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    }

    @Override
    public long nanoTime() {
      return System.nanoTime();
    }

    @Override
    public void after(long delayNanos, Runnable task) {
      try {
        ScheduledFuture<?> _ = executor.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
      } catch (RejectedExecutionException closed) {
        task.run(); // whoever waits must not wait for ever
      }
    }

    @Override
    public void close() {
      // Nothing that was promised to complete may be dropped.
      executor.shutdownNow().forEach(Runnable::run);
    }
  }
}
