// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.ThrottleLimits.Meter;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.locks.ReentrantLock;

/// Lets requests of all its nodes through at a limited rate, all together. A request that has to
/// wait is queued; nobody waits on a thread. Reads among themselves, and changes among themselves,
/// go on in the order they came. Any thread.
public final class ThrottleGroup {
  private static final System.Logger LOG = System.getLogger(ThrottleGroup.class.getName());

  /* A bucket per meter: what goes through is poured in, and it leaks at the meter's rate. While it
   * stands higher than it may, everybody waits. A request is let through when there is room for any
   * of it, so one that is larger than the bucket passes too and makes those after it wait longer.
   * Without a burst the bucket holds a tenth of a second's worth: else each second request would
   * wait. With a burst it holds the whole burst, and a second bucket that leaks at the burst's rate
   * limits that. */
  private static final double SHORT_BURST_SECONDS = 0.1;

  private static final double NANOS = 1e9;
  private static final long WAIT_NANOS_MIN = 1000;
  private static final long WAIT_NANOS_MAX = 60_000_000_000L;

  private final DelayTimer timer;
  private final ReentrantLock lock = new ReentrantLock();
  private final Map<Direction, Waiting> waiting = new EnumMap<>(Direction.class);

  @GuardedBy("lock")
  private final Map<Meter, Bucket> buckets = new EnumMap<>(Meter.class);

  @GuardedBy("lock")
  private long leakedNanoTime;

  /// Nodes that have been taken off their disks; a request may just be passing through one.
  @GuardedBy("lock")
  private final Set<ThrottleNode> left = Collections.newSetFromMap(new WeakHashMap<>());

  private volatile ThrottleLimits limits;
  private volatile boolean limiting;

  public ThrottleGroup(ThrottleLimits limits, DelayTimer timer) {
    this.timer = timer;
    this.limits = limits;
    this.leakedNanoTime = timer.nanoTime();
    for (Direction direction : Direction.values()) {
      waiting.put(direction, new Waiting());
    }
    fill(limits);
  }

  private void fill(ThrottleLimits next) {
    lock.lock();
    try {
      limits = next;
      buckets.clear();
      boolean some = false;
      for (Meter meter : Meter.values()) {
        if (next.rate(meter) > 0) {
          buckets.put(meter, new Bucket(next, meter));
          some = true;
        }
      }
      limiting = some || !noneWaits();
    } finally {
      lock.unlock();
    }
  }

  public ThrottleLimits limits() {
    return limits;
  }

  /// Replaces the limits at once. Requests that wait go on as the new limits let them.
  public void limit(ThrottleLimits next) {
    fill(next);
    for (Direction direction : Direction.values()) {
      release(direction);
    }
  }

  /// Runs `go` when the limits let it: inside of this call, or later on the timer's thread. What is
  /// thrown by this is thrown before `go` was run, or by `go`, and `go` will not be run any more.
  ///
  /// @param node whose request it is; when that has [#leave]d, nothing is waited for
  /// @param lengthBytes what the request reads or changes
  /// @param done fails when it had to wait and `go` throws
  void pass(
      ThrottleNode node, Direction direction, long lengthBytes, Runnable go, Completion done) {
    if (!limiting) {
      go.run();
      return;
    }
    boolean now;
    Waiter waiter = new Waiter(node, lengthBytes, go, done);
    lock.lock();
    try {
      Waiting queue = waitingFor(direction);
      now = left.contains(node) || (queue.requests.isEmpty() && waitNanos(direction) == 0);
      if (now) {
        pour(direction, lengthBytes);
      } else {
        queue.requests.add(waiter);
      }
    } finally {
      lock.unlock();
    }
    if (now) {
      go.run();
    } else {
      releaseFor(waiter, direction);
    }
  }

  /// When this throws the caller fails the request, whose data is gone then: it must not wait on.
  private void releaseFor(Waiter waiter, Direction direction) {
    try {
      release(direction);
    } catch (RuntimeException | Error e) {
      boolean waits;
      lock.lock();
      try {
        waits = waitingFor(direction).requests.remove(waiter);
      } finally {
        lock.unlock();
      }
      if (waits) {
        throw e;
      }
      LOG.log(System.Logger.Level.ERROR, "throttling: those behind wait for the next request", e);
    }
  }

  /// The node has been taken off its disk: those of its requests that wait go on at once. Behind
  /// them, requests that did not come this way may have gone already, from the same client.
  void leave(ThrottleNode node) {
    List<Waiter> ready = new ArrayList<>();
    lock.lock();
    try {
      left.add(node);
      for (Direction direction : Direction.values()) {
        Iterator<Waiter> waiters = waitingFor(direction).requests.iterator();
        while (waiters.hasNext()) {
          Waiter waiter = waiters.next();
          if (waiter.node == node) {
            waiters.remove();
            pour(direction, waiter.lengthBytes);
            ready.add(waiter);
          }
        }
      }
    } finally {
      lock.unlock();
    }
    ready.forEach(Waiter::run);
  }

  /// Whether requests go straight through: then [#pass] need not be called.
  boolean isOpen() {
    return !limiting;
  }

  /* The one place that lets waiting requests go; sets the alarm for the first that may not, unless
   * one is set that is early enough. */
  private void release(Direction direction) {
    List<Waiter> ready = new ArrayList<>();
    long delayNanos = 0;
    long alarm = 0;
    lock.lock();
    try {
      Waiting queue = waitingFor(direction);
      while (!queue.requests.isEmpty()) {
        delayNanos = timer.isClosed() ? 0 : waitNanos(direction);
        if (delayNanos > 0) {
          break;
        }
        Waiter waiter = queue.requests.remove();
        pour(direction, waiter.lengthBytes);
        ready.add(waiter);
      }
      if (queue.requests.isEmpty() || queue.wakesWithin(timer.nanoTime(), delayNanos)) {
        delayNanos = 0;
      } else {
        alarm = queue.arm(timer.nanoTime() + delayNanos);
      }
      if (buckets.isEmpty() && noneWaits()) {
        limiting = false;
      }
    } finally {
      lock.unlock();
    }
    try {
      if (delayNanos > 0) {
        setAlarm(direction, delayNanos, alarm);
      }
    } finally {
      ready.forEach(Waiter::run);
    }
  }

  private void setAlarm(Direction direction, long delayNanos, long alarm) {
    try {
      timer.after(delayNanos, () -> wake(direction, alarm));
    } catch (RuntimeException | Error e) {
      lock.lock();
      try {
        boolean _ = waitingFor(direction).disarm(alarm); // so that the next request sets one
      } finally {
        lock.unlock();
      }
      throw e;
    }
  }

  private void wake(Direction direction, long alarm) {
    lock.lock();
    try {
      if (!waitingFor(direction).disarm(alarm)) {
        return; // an earlier one was set after it
      }
    } finally {
      lock.unlock();
    }
    release(direction);
  }

  private boolean noneWaits() {
    return waiting.values().stream().allMatch(queue -> queue.requests.isEmpty());
  }

  private Waiting waitingFor(Direction direction) {
    Waiting queue = waiting.get(direction);
    if (queue == null) {
      throw new IllegalStateException("no queue: " + direction);
    }
    return queue;
  }

  @GuardedBy("lock")
  private long waitNanos(Direction direction) {
    long now = timer.nanoTime();
    double seconds = Math.max(0, now - leakedNanoTime) / NANOS;
    leakedNanoTime = now;
    double longest = 0;
    for (Map.Entry<Meter, Bucket> entry : buckets.entrySet()) {
      entry.getValue().leak(seconds);
      if (direction.counts(entry.getKey())) {
        longest = Math.max(longest, entry.getValue().waitSeconds());
      }
    }
    if (longest == 0) {
      return 0;
    }
    return Math.clamp((long) Math.ceil(longest * NANOS), WAIT_NANOS_MIN, WAIT_NANOS_MAX);
  }

  @GuardedBy("lock")
  private void pour(Direction direction, long lengthBytes) {
    for (Map.Entry<Meter, Bucket> entry : buckets.entrySet()) {
      if (direction.counts(entry.getKey())) {
        entry
            .getValue()
            .pour(entry.getKey().countsBytes ? lengthBytes : limits.requests(lengthBytes));
      }
    }
  }

  /// Which way a request moves data.
  enum Direction {
    READ,
    WRITE;

    boolean counts(Meter meter) {
      return switch (this) {
        case READ -> meter.countsReads;
        case WRITE -> meter.countsWrites;
      };
    }
  }

  /// A request that waits.
  private record Waiter(ThrottleNode node, long lengthBytes, Runnable go, Completion done) {

    /// Never throws: others go on behind it.
    void run() {
      try {
        go.run();
      } catch (RuntimeException | Error e) {
        LOG.log(System.Logger.Level.ERROR, "a request that had been throttled", e);
        done.failed(new IOException("internal error: " + e, e));
      }
    }
  }

  /// Requests that wait, and when the timer looks after them. Guarded by the group's lock.
  private static final class Waiting {
    private final ArrayDeque<Waiter> requests = new ArrayDeque<>();
    private boolean armed;
    private long alarm;
    private long wakeNanoTime;

    boolean wakesWithin(long nowNanoTime, long delayNanos) {
      return armed && wakeNanoTime - nowNanoTime <= delayNanos;
    }

    long arm(long nanoTime) {
      armed = true;
      wakeNanoTime = nanoTime;
      return ++alarm;
    }

    boolean disarm(long which) {
      if (which != alarm) {
        return false;
      }
      armed = false;
      return true;
    }
  }

  private static final class Bucket {
    private final double rate;
    private final double holds;
    private final double burstRate;
    private final double burstHolds;
    private double level;
    private double burstLevel;

    Bucket(ThrottleLimits limits, Meter meter) {
      rate = limits.rate(meter);
      long seconds = limits.burstSeconds(meter);
      double max = limits.burstRate(meter);
      holds = max > 0 ? max * seconds : rate * SHORT_BURST_SECONDS;
      burstRate = max > 0 && seconds > 1 ? max : 0;
      burstHolds = max * SHORT_BURST_SECONDS;
    }

    void leak(double seconds) {
      level = Math.max(0, level - rate * seconds);
      burstLevel = Math.max(0, burstLevel - burstRate * seconds);
    }

    void pour(double amount) {
      level += amount;
      if (burstRate > 0) {
        burstLevel += amount;
      }
    }

    double waitSeconds() {
      if (level > holds) {
        return (level - holds) / rate;
      }
      return burstRate > 0 && burstLevel > burstHolds ? (burstLevel - burstHolds) / burstRate : 0;
    }
  }
}
