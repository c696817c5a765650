// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;

/// Freezes several disks at one instant.
///
/// ```
///   close every gate ─▶ writes in flight finish ─▶ last one: start every epoch ─▶ open every gate
/// ```
///
/// While all gates are closed and nothing is in flight no disk changes, so the epochs, started one
/// after the other, show one instant. Each write is in flight at most once, so it is wholly in or
/// wholly out. The caller sees to it that no two freezes overlap.
public final class Freeze {
  private final List<FleecingHook> hooks;
  private final SnapshotTerms terms;
  private final LongSupplier nanoClock;
  private final long startedNanos;
  private final AtomicInteger undrained;
  private final AtomicBoolean decided = new AtomicBoolean();
  private final CompletableFuture<Frozen> frozen = new CompletableFuture<>();

  private Freeze(List<FleecingHook> hooks, SnapshotTerms terms, LongSupplier nanoClock) {
    this.hooks = List.copyOf(hooks);
    this.terms = terms;
    this.nanoClock = nanoClock;
    this.startedNanos = nanoClock.getAsLong();
    this.undrained = new AtomicInteger(hooks.size());
  }

  /// Starts a freeze; see [#frozen].
  public static Freeze start(
      List<FleecingHook> hooks, SnapshotTerms terms, LongSupplier nanoClock) {
    Freeze freeze = new Freeze(hooks, terms, nanoClock);
    for (FleecingHook hook : freeze.hooks) {
      hook.closeGate(freeze::drained);
    }
    return freeze;
  }

  /// The views, in the order of the hooks. Completed by whichever thread drained the last disk.
  public CompletableFuture<Frozen> frozen() {
    return frozen;
  }

  /// Gives up, unless it has succeeded: writes go on, on this thread, and nothing is frozen.
  ///
  /// @return whether it was given up
  public boolean cancel(Throwable reason) {
    if (!decided.compareAndSet(false, true)) {
      return false;
    }
    frozen.completeExceptionally(reason);
    hooks.forEach(FleecingHook::openGate);
    return true;
  }

  private void drained() {
    if (undrained.decrementAndGet() != 0 || !decided.compareAndSet(false, true)) {
      return;
    }
    List<SnapshotView> views = new ArrayList<>(hooks.size());
    long heldNanos;
    try {
      for (FleecingHook hook : hooks) {
        views.add(hook.freeze(terms));
      }
    } catch (RuntimeException | Error e) {
      views.forEach(SnapshotView::release);
      frozen.completeExceptionally(new CompletionException(e));
      throw e;
    } finally {
      heldNanos = nanoClock.getAsLong() - startedNanos;
      hooks.forEach(FleecingHook::openGate);
    }
    frozen.complete(new Frozen(views, heldNanos));
  }

  /// The outcome.
  ///
  /// @param heldNanos how long writes were held up, in ns
  public record Frozen(List<SnapshotView> views, long heldNanos) {
    public Frozen {
      views = List.copyOf(views);
    }
  }
}
