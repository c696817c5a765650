// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/// Two threads that begin something at the same moment, again and again.
final class TwoActors implements AutoCloseable {
  private static final int SPINS_MAX = 10_000;
  private static final int HUNG_SECONDS = 30;

  private final ExecutorService threads =
      Executors.newFixedThreadPool(
          2, Thread.ofPlatform().daemon().name("race-actor-", 0).factory());

  /// Returns when both have ended. Fails with what one of them threw, and with the stacks of all
  /// threads when one hangs.
  ///
  /// @param headStart turns of a loop that the second waits for the first; the first for the second
  ///   when negative
  void race(Runnable first, Runnable second, int headStart) {
    AtomicInteger arrived = new AtomicInteger();
    CompletableFuture<Void> one = start(arrived, first, -headStart);
    CompletableFuture<Void> other = start(arrived, second, headStart);
    try {
      CompletableFuture.allOf(one, other).get(HUNG_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new AssertionError("an actor failed", e.getCause());
    } catch (TimeoutException e) {
      throw new AssertionError(
          "hangs:"
              + (one.isDone() ? "" : " the first")
              + (other.isDone() ? "" : " the second")
              + stacks(),
          e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private CompletableFuture<Void> start(AtomicInteger arrived, Runnable actor, int turns) {
    return CompletableFuture.runAsync(
        () -> {
          meet(arrived);
          for (int turn = 0; turn < turns; turn++) {
            Thread.onSpinWait();
          }
          actor.run();
        },
        threads);
  }

  /// Spinning: waking a thread takes longer than what is to meet.
  private static void meet(AtomicInteger arrived) {
    int spins = 0;
    arrived.incrementAndGet();
    while (arrived.get() < 2) {
      if (++spins < SPINS_MAX) {
        Thread.onSpinWait();
      } else {
        LockSupport.parkNanos(1_000); // the other one may have no processor
      }
    }
  }

  private static String stacks() {
    StringBuilder text = new StringBuilder();
    for (Map.Entry<Thread, StackTraceElement[]> each : Thread.getAllStackTraces().entrySet()) {
      text.append("\n\n").append(each.getKey().getName());
      for (StackTraceElement frame : each.getValue()) {
        text.append("\n    ").append(frame);
      }
    }
    return text.toString();
  }

  /// Does not wait: one that hangs is a daemon.
  @Override
  public void close() {
    threads.shutdownNow();
  }
}
