// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.util.Comparator;
import java.util.PriorityQueue;

/// A timer whose time passes when a test says so. One thread.
public final class FakeTimer implements DelayTimer {
  private final PriorityQueue<Task> tasks =
      new PriorityQueue<>(
          Comparator.comparingLong(Task::dueNanoTime).thenComparingLong(Task::number));
  private long nowNanoTime;
  private long number;

  @Override
  public long nanoTime() {
    return nowNanoTime;
  }

  @Override
  public void after(long delayNanos, Runnable task) {
    tasks.add(new Task(nowNanoTime + delayNanos, number++, task));
  }

  /// Lets time pass, running what comes due on the way.
  public void pass(long nanos) {
    long end = nowNanoTime + nanos;
    while (!tasks.isEmpty() && tasks.element().dueNanoTime() <= end) {
      Task task = tasks.remove();
      nowNanoTime = Math.max(nowNanoTime, task.dueNanoTime());
      task.run().run();
    }
    nowNanoTime = end;
  }

  int pending() {
    return tasks.size();
  }

  private record Task(long dueNanoTime, long number, Runnable run) {}
}
