// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.Executor;

/// Runs tasks when the test says so.
public final class ManualExecutor implements Executor {
  private final Queue<Runnable> tasks = new ArrayDeque<>();

  @Override
  public void execute(Runnable task) {
    tasks.add(task);
  }

  public int pending() {
    return tasks.size();
  }

  /// Runs the oldest task, if there is one.
  public void runOne() {
    Runnable task = tasks.poll();
    if (task != null) {
      task.run();
    }
  }

  public void runAll() {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
  }
}
