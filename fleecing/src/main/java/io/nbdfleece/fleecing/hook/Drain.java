// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;

/// Does something to several disks at one instant.
///
/// ```
///   close every gate ─▶ writes in flight finish ─▶ last one: the action ─▶ open every gate
/// ```
///
/// While all gates are closed and nothing is in flight no disk changes, so whatever the action does
/// to one disk after the other (epochs that begin, bitmaps that are exchanged) is one instant. Each
/// write is in flight at most once, so it is wholly before or wholly after. The caller sees to it
/// that no two drains overlap.
///
/// @param <T> what the action yields
public final class Drain<T> {
  private final List<FleecingHook> hooks;
  private final Callable<T> action;
  private final LongSupplier nanoClock;
  private final long startedNanos;
  private final AtomicInteger undrained;
  private final AtomicBoolean decided = new AtomicBoolean();
  private final CompletableFuture<Drained<T>> outcome = new CompletableFuture<>();

  private Drain(List<FleecingHook> hooks, Callable<T> action, LongSupplier nanoClock) {
    this.hooks = List.copyOf(hooks);
    this.action = action;
    this.nanoClock = nanoClock;
    this.startedNanos = nanoClock.getAsLong();
    this.undrained = new AtomicInteger(hooks.size());
  }

  /// Starts a drain; see [#outcome]. When a gate cannot be closed that is thrown, and those closed
  /// before are open again.
  ///
  /// @param hooks at least one
  /// @param action run once, by whichever thread drained the last disk, an event loop perhaps: it
  ///   must not wait
  public static <T> Drain<T> start(
      List<FleecingHook> hooks, Callable<T> action, LongSupplier nanoClock) {
    Drain<T> drain = new Drain<>(hooks, action, nanoClock);
    int closed = 0;
    try {
      for (FleecingHook hook : drain.hooks) {
        hook.closeGate(drain::drained);
        closed++;
      }
    } catch (RuntimeException | Error e) {
      drain.decided.set(true);
      liftGates(drain.hooks.subList(0, closed)).run();
      throw e;
    }
    return drain;
  }

  /// What the action yielded, or threw. Completed when the gates are open again, by whichever
  /// thread opened them.
  public CompletableFuture<Drained<T>> outcome() {
    return outcome;
  }

  /// Gives up, unless the action has begun: writes go on, and nothing is done. Waits for no disk.
  ///
  /// @param elsewhere for the writes that waited, a task for each disk: one of them may be what
  ///   hangs
  /// @return whether it was given up
  public boolean cancel(Throwable reason, Executor elsewhere) {
    if (!decided.compareAndSet(false, true)) {
      return false;
    }
    // Who hears of it may start the next drain, so all gates are open by then.
    List<Runnable> queued = hooks.stream().map(FleecingHook::liftGate).toList();
    try {
      outcome.completeExceptionally(reason);
    } finally {
      queued.forEach(elsewhere::execute);
    }
    return true;
  }

  /// Opens all gates before a write that waited at one of them can wait for its disk.
  ///
  /// @return lets those writes go on
  private static Runnable liftGates(List<FleecingHook> hooks) {
    List<Runnable> queued = hooks.stream().map(FleecingHook::liftGate).toList();
    return () -> queued.forEach(Runnable::run);
  }

  private void drained() {
    if (undrained.decrementAndGet() != 0 || !decided.compareAndSet(false, true)) {
      return;
    }
    T yielded;
    long heldNanos;
    try {
      yielded = action.call();
      heldNanos = nanoClock.getAsLong() - startedNanos;
    } catch (Exception | Error e) {
      liftGates(hooks).run();
      outcome.completeExceptionally(e);
      return;
    }
    liftGates(hooks).run();
    outcome.complete(new Drained<>(yielded, heldNanos));
  }

  /// The outcome.
  ///
  /// @param heldNanos how long writes were held up, in ns
  public record Drained<T>(T yielded, long heldNanos) {}
}
