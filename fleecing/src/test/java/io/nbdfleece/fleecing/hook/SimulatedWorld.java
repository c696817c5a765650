// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.PriorityQueue;
import java.util.Random;
import java.util.concurrent.Executor;

/// Time and chance of a simulation: one thread, a virtual clock, one seed. What is scheduled runs
/// in the order of its time, ties by chance.
final class SimulatedWorld {
  final Random random;
  private final PriorityQueue<Event> events = new PriorityQueue<>();
  private long nowNanos;
  private boolean calm;

  SimulatedWorld(long seed) {
    // The first numbers of java.util.Random hardly differ for neighbouring seeds: spread them.
    this.random = new Random(seed * 0x9E3779B97F4A7C15L);
  }

  long nowNanos() {
    return nowNanos;
  }

  /// From now on nothing is delayed by chance and nothing fails: to bring a simulation to its end.
  void calmDown() {
    calm = true;
  }

  boolean isCalm() {
    return calm;
  }

  /// Runs later, after a random delay of up to this.
  void later(long delayNanosMax, Runnable what) {
    long delayNanos = delayNanosMax == 0 ? 0 : random.nextLong(delayNanosMax);
    events.add(new Event(nowNanos + delayNanos, random.nextInt(), what));
  }

  /// Runs things on the simulation's thread, a little later.
  Executor executor(long delayNanosMax) {
    return task -> later(delayNanosMax, task);
  }

  boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  /// Runs the next event.
  ///
  /// @return whether there was one
  boolean step() {
    Event event = events.poll();
    if (event == null) {
      return false;
    }
    nowNanos = Math.max(nowNanos, event.atNanos);
    event.what.run();
    return true;
  }

  private record Event(long atNanos, int tie, Runnable what) implements Comparable<Event> {
    @Override
    public int compareTo(Event other) {
      int byTime = Long.compare(atNanos, other.atNanos);
      return byTime != 0 ? byTime : Integer.compare(tie, other.tie);
    }
  }
}
