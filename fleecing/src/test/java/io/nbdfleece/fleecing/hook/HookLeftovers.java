// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/// What a hook still holds when nobody is at it any more, for tests outside of its package.
public final class HookLeftovers {
  private HookLeftovers() {}

  /// Nothing when all is as it was before the first snapshot. No drain may be under way.
  public static List<String> of(FleecingHook hook) {
    List<String> left = new ArrayList<>();
    hook.lock.lock();
    try {
      if (!hook.ledger.isEmpty()) {
        left.add("epochs");
      }
      if (!hook.reads.isEmpty()) {
        left.add("registered reads");
      }
      if (hook.copies().inFlight() > 0) {
        left.add("copies under way");
      }
      if (hook.clean.nextPresent(0, hook.geometry().clusterCount())
          < hook.geometry().clusterCount()) {
        left.add("clean copies");
      }
    } finally {
      hook.lock.unlock();
    }
    AtomicBoolean drained = new AtomicBoolean();
    try {
      hook.closeGate(() -> drained.set(true));
    } catch (IllegalStateException e) {
      left.add("a closed gate");
      return left;
    }
    hook.openGate();
    if (!drained.get()) {
      left.add("writes in flight");
    }
    return left;
  }
}
