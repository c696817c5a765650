// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.fleecing.block.DelayTimer;
import java.time.Instant;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/// Threads of the system, all of them daemons, and its clocks.
final class PlatformThreads implements EngineThreads {
  private static final System.Logger LOG = System.getLogger(FleecingEngine.class.getName());
  private static final int TELLINGS_MAX = 4096;

  private final IoWorkers workers;
  private final IoWorkers scratchWorkers;
  private final ScheduledThreadPoolExecutor ticker;
  private final DelayTimer.Threaded pauses = DelayTimer.threaded("nbdfleece-brake");
  private final ThreadPoolExecutor teller;

  /// @param workersMax how many calls may wait for disks at the same time, and for the scratch file
  PlatformThreads(int workersMax) {
    workers = new IoWorkers("nbdfleece-io", workersMax);
    scratchWorkers = new IoWorkers("nbdfleece-io-scratch", workersMax);
    ticker = new ScheduledThreadPoolExecutor(1, daemon("nbdfleece-ticker"));
    ticker.setRemoveOnCancelPolicy(true);
    teller =
        new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(TELLINGS_MAX),
            daemon("nbdfleece-events"));
    // It stays: who tells may be a guest's write, which must not fail because the system gives no
    // thread now.
    boolean _ = teller.prestartCoreThread();
  }

  private static ThreadFactory daemon(String name) {
    return task -> {
      Thread thread = new Thread(task, name);
      thread.setDaemon(true);
      return thread;
    };
  }

  @Override
  public long nanoTime() {
    return System.nanoTime();
  }

  @Override
  public Instant wallTime() {
    return Instant.now();
  }

  @Override
  public Executor workers() {
    return workers;
  }

  @Override
  public Executor scratchWorkers() {
    return scratchWorkers;
  }

  @Override
  public Executor teller() {
    return teller;
  }

  @Override
  public DelayTimer pauses() {
    return pauses;
  }

  @Override
  public void repeat(long periodMillis, Runnable task) {
    ScheduledFuture<?> _ =
        ticker.scheduleWithFixedDelay(
            () -> {
              try {
                task.run();
              } catch (RuntimeException | Error e) {
                LOG.log(System.Logger.Level.ERROR, "a periodic task failed", e);
              }
            },
            periodMillis,
            periodMillis,
            TimeUnit.MILLISECONDS);
  }

  @Override
  public Due later(long delayMillis, Runnable task) {
    ScheduledFuture<?> due = ticker.schedule(task, delayMillis, TimeUnit.MILLISECONDS);
    return () -> due.cancel(false);
  }

  @Override
  public void endTicks() {
    ticker.shutdownNow();
    ticker.close(); // a tick under way may hand work to the workers
    pauses.close();
  }

  @Override
  public void endWork() {
    scratchWorkers.close(); // what comes of its work is for the others
    workers.close();
  }

  @Override
  public void endTelling() {
    teller.shutdown();
    try {
      if (!teller.awaitTermination(1, TimeUnit.SECONDS)) {
        teller.shutdownNow();
      }
    } catch (InterruptedException e) {
      teller.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }
}
