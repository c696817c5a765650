// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongSupplier;

/// A drain whose action freezes the disks and nothing else.
record Freeze(CompletableFuture<Frozen> frozen) {

  static Freeze start(List<FleecingHook> hooks, SnapshotTerms terms, LongSupplier nanoClock) {
    return new Freeze(
        Drain.start(hooks, () -> viewsOf(hooks, terms), nanoClock)
            .outcome()
            .thenApply(drained -> new Frozen(drained.yielded(), drained.heldNanos())));
  }

  private static List<SnapshotView> viewsOf(List<FleecingHook> hooks, SnapshotTerms terms) {
    List<SnapshotView> views = new ArrayList<>();
    hooks.forEach(hook -> views.add(hook.freeze(terms)));
    return views;
  }

  record Frozen(List<SnapshotView> views, long heldNanos) {}
}
