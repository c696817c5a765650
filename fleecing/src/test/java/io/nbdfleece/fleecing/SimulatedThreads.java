// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import java.lang.reflect.Constructor;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Supplier;

/// The threads of an engine, and of those who command it, on one thread of the system: each is a
/// virtual thread that the simulation runs, so that it can wait for locks, files and futures as
/// ever, and the seed says who goes on next.
///
/// The JDK lets nobody choose the scheduler of virtual threads, but has the constructor for its own
/// tests. A thread that waits for a monitor is scheduled by a thread of the JDK's, which is taken
/// in, but not in an order that a seed repeats; so nothing of the product waits with one held.
final class SimulatedThreads implements EngineThreads {
  private static final long SWITCH_NANOS_MAX = 10_000;
  private static final long FILE_NANOS_MAX = 60_000;
  private static final long FOREIGN_WAIT_NANOS = 200_000_000;
  private static final Constructor<?> BUILDER = builder();

  private final SimulatedWorld world;
  private final Supplier<Instant> wallTime;
  private final Consumer<Throwable> wrong;
  private final int workersMax;
  private final Thread home = Thread.currentThread();
  private final Thread.Builder.OfVirtual virtual;

  /// What the JDK's own thread has scheduled.
  private final Queue<Runnable> foreign = new ConcurrentLinkedQueue<>();

  private final Deque<Runnable> work = new ArrayDeque<>();
  private int workers;

  /// Workers, and calls on devices.
  private int working;

  private boolean workEnded;
  private final CompletableFuture<Void> workDone = new CompletableFuture<>();

  private final Deque<Runnable> tellings = new ArrayDeque<>();
  private boolean tellingEnded;
  private final CompletableFuture<Void> allTold = new CompletableFuture<>();

  private final Ticker ticker = new Ticker();
  private final Ticker heart = new Ticker();
  private final Set<Pause> pausing = new LinkedHashSet<>();
  private final Pauses pauses = new Pauses();
  private int living;
  private boolean dead;

  /// @param wrong told what a thread ended with
  SimulatedThreads(
      SimulatedWorld world, int workersMax, Supplier<Instant> wallTime, Consumer<Throwable> wrong) {
    this.world = world;
    this.workersMax = workersMax;
    this.wallTime = wallTime;
    this.wrong = wrong;
    try {
      this.virtual = (Thread.Builder.OfVirtual) BUILDER.newInstance((Executor) this::schedule);
    } catch (ReflectiveOperationException e) {
      throw new LinkageError("a builder of virtual threads", e);
    }
  }

  private static Constructor<?> builder() {
    try {
      Constructor<?> constructor =
          Class.forName("java.lang.ThreadBuilders$VirtualThreadBuilder")
              .getDeclaredConstructor(Executor.class);
      constructor.setAccessible(true);
      return constructor;
    } catch (ReflectiveOperationException e) {
      throw new LinkageError("needs --add-opens java.base/java.lang=ALL-UNNAMED", e);
    }
  }

  private void schedule(Runnable continuation) {
    Thread now = Thread.currentThread();
    if (now.isVirtual() || now.equals(home)) {
      soon(SWITCH_NANOS_MAX, continuation);
    } else {
      foreign.add(continuation);
    }
  }

  private void soon(long delayNanosMax, Runnable task) {
    if (!dead) {
      world.later(world.isCalm() ? 0 : delayNanosMax, task);
    }
  }

  /// Runs it on a thread of its own, soon.
  void start(Runnable task) {
    living++;
    // Not here: who calls may be a virtual thread, and the JDK's own list of threads has locks.
    soon(
        SWITCH_NANOS_MAX,
        () ->
            virtual
                .unstarted(
                    () -> {
                      try {
                        task.run();
                      } catch (RuntimeException | Error e) {
                        wrong.accept(e);
                      } finally {
                        living--;
                      }
                    })
                .start());
  }

  /// Threads that have not ended.
  int living() {
    return living;
  }

  /// What waits for nothing but its time.
  int pausing() {
    return pausing.size();
  }

  /// Has others go on for a while. Nothing on a thread that cannot wait.
  void giveWay() {
    if (Thread.currentThread().isVirtual() && !world.isCalm()) {
      CompletableFuture<Void> over = new CompletableFuture<>();
      soon(FILE_NANOS_MAX, () -> over.complete(null));
      over.join();
    }
  }

  /// From now on nothing happens any more on any of them.
  void kill() {
    dead = true;
  }

  /// The next thing that happens; what is to be done every so often is done when its time comes.
  ///
  /// @return whether there was anything
  boolean step() {
    takeForeign();
    long next = world.nextNanos();
    if (next == Long.MAX_VALUE && living > 0) {
      LockSupport.parkNanos(1);
      long until = System.nanoTime() + FOREIGN_WAIT_NANOS;
      while (foreign.isEmpty() && System.nanoTime() - until < 0) {
        LockSupport.parkNanos(100_000);
      }
      takeForeign();
      next = world.nextNanos();
    }
    if (next == Long.MAX_VALUE) {
      return false;
    }
    boolean ticked = heart.tickBefore(next);
    return ticker.tickBefore(next) || ticked || world.step();
  }

  private void takeForeign() {
    for (Runnable task = foreign.poll(); task != null; task = foreign.poll()) {
      soon(0, task);
    }
  }

  /// Does now what is done every so often.
  void tick() {
    heart.tickBefore(Long.MAX_VALUE);
    ticker.tickBefore(Long.MAX_VALUE);
  }

  /// What the state directory does every so often.
  void repeatHeartbeat(long periodMillis, Runnable task) {
    heart.add(periodMillis, task);
  }

  /// One thread for some periodic tasks.
  private final class Ticker {
    private final List<Periodic> tasks = new ArrayList<>();
    private boolean busy;
    private boolean ended;
    private final CompletableFuture<Void> idle = new CompletableFuture<>();

    private static final class Periodic {
      final long periodNanos;
      final Runnable task;
      long dueNanos;

      Periodic(long periodNanos, Runnable task, long dueNanos) {
        this.periodNanos = periodNanos;
        this.task = task;
        this.dueNanos = dueNanos;
      }
    }

    void add(long periodMillis, Runnable task) {
      long periodNanos = periodMillis * 1_000_000;
      tasks.add(new Periodic(periodNanos, task, world.nowNanos() + periodNanos));
    }

    /// @return whether there was something to do
    boolean tickBefore(long nanos) {
      if (busy || ended || tasks.isEmpty()) {
        return false;
      }
      long firstNanos = tasks.stream().mapToLong(task -> task.dueNanos).min().orElseThrow();
      if (nanos < firstNanos) {
        return false;
      }
      boolean early = nanos == Long.MAX_VALUE;
      if (!early) {
        world.passTo(firstNanos);
      }
      busy = true;
      start(() -> run(early));
      return true;
    }

    private void run(boolean early) {
      try {
        for (Periodic each : tasks) {
          if (early || each.dueNanos <= world.nowNanos()) {
            each.task.run();
            each.dueNanos = world.nowNanos() + each.periodNanos;
          }
        }
      } finally {
        busy = false;
        if (ended) {
          idle.complete(null);
        }
      }
    }

    void end() {
      ended = true;
      if (busy) {
        idle.join();
      }
    }
  }

  @Override
  public long nanoTime() {
    return world.nowNanos();
  }

  @Override
  public Instant wallTime() {
    return wallTime.get();
  }

  @Override
  public Executor workers() {
    return this::work;
  }

  private void work(Runnable task) {
    if (workEnded) {
      throw new RejectedExecutionException("closed");
    }
    work.add(task);
    if (workers < workersMax) {
      workers++;
      working++;
      start(this::workOff);
    }
  }

  private void workOff() {
    for (Runnable task = work.poll(); task != null; task = work.poll()) {
      try {
        task.run();
      } catch (RuntimeException | Error e) {
        wrong.accept(e);
      }
      giveWay();
    }
    workers--;
    workBegins(-1);
  }

  /// A call on a device, which a worker would wait for, has begun (1), or come to its end (-1).
  void workBegins(int count) {
    working += count;
    if (workEnded && working == 0) {
      workDone.complete(null);
    }
  }

  @Override
  public Executor teller() {
    return task -> {
      if (tellingEnded) {
        throw new RejectedExecutionException("closed");
      }
      tellings.add(task);
      soon(SWITCH_NANOS_MAX, this::tellNext);
    };
  }

  private void tellNext() {
    tellings.remove().run();
    if (tellingEnded && tellings.isEmpty()) {
      allTold.complete(null);
    }
  }

  @Override
  public DelayTimer pauses() {
    return pauses;
  }

  private final class Pauses implements DelayTimer {
    @Override
    public long nanoTime() {
      return world.nowNanos();
    }

    @Override
    public void after(long delayNanos, Runnable task) {
      Pause pause = new Pause(task);
      pausing.add(pause);
      soon(delayNanos, pause::end);
    }
  }

  private final class Pause {
    private final Runnable task;

    Pause(Runnable task) {
      this.task = task;
    }

    void end() {
      if (pausing.remove(this)) {
        task.run();
      }
    }
  }

  @Override
  public void repeat(long periodMillis, Runnable task) {
    ticker.add(periodMillis, task);
  }

  @Override
  public Due later(long delayMillis, Runnable task) {
    Runnable cancel =
        world.after(
            delayMillis * 1_000_000,
            () -> {
              if (!ticker.ended) {
                task.run();
              }
            });
    return cancel::run;
  }

  @Override
  public void endTicks() {
    ticker.end();
    List.copyOf(pausing).forEach(Pause::end);
  }

  /// The heartbeats are the state directory's.
  void endHeartbeats() {
    heart.end();
  }

  @Override
  public void endWork() {
    workEnded = true;
    if (working > 0) {
      workDone.join();
    }
  }

  @Override
  public void endTelling() {
    tellingEnded = true;
    if (!tellings.isEmpty()) {
      allTold.join();
    }
  }
}
