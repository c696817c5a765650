// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.fleecing.block.DelayTimer;

/// The time of a simulated world; what is due later comes after some time up to that.
public record SimulatedTimer(SimulatedWorld world) implements DelayTimer {
  @Override
  public long nanoTime() {
    return world.nowNanos();
  }

  @Override
  public void after(long delayNanos, Runnable task) {
    world.later(delayNanos, task);
  }
}
