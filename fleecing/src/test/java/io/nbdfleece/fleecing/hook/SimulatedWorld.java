// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.PriorityQueue;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Executor;

/// Time and chance of a simulation: one thread, a virtual clock, one seed. What is scheduled runs
/// in the order of its time, ties by chance.
public final class SimulatedWorld {
  /// Of what happens: delays, faults.
  public final Random random;

  /// Of what is done: its own for each operation, so that an operation is much the same when others
  /// are left out.
  public final Random choice;

  public final Set<Fault> faults;
  private final long seed;
  private final PriorityQueue<Event> events = new PriorityQueue<>();
  private long nowNanos;
  private boolean calm;

  /// A world in which nothing goes wrong.
  SimulatedWorld(long seed) {
    this(seed, Set.of());
  }

  public SimulatedWorld(long seed, Set<Fault> faults) {
    this.seed = seed;
    this.faults = faults;
    this.random = new Random();
    this.choice = new Random();
    beginOperation(-1);
  }

  /// The first numbers of java.util.Random hardly differ for neighbouring seeds.
  static long spread(long seed) {
    return seed * 0x9E3779B97F4A7C15L;
  }

  public void beginOperation(int number) {
    long own = spread(spread(seed) + number);
    choice.setSeed(own);
    random.setSeed(spread(own + 1));
  }

  public long nowNanos() {
    return nowNanos;
  }

  /// From now on nothing is delayed by chance and nothing new fails: to bring a simulation to its
  /// end.
  public void calmDown() {
    calm = true;
  }

  public boolean isCalm() {
    return calm;
  }

  /// Whether that fault happens now. Takes its chance in any case, so that other faults strike
  /// where they did when this one is left out.
  public boolean strikes(Fault fault, double probability) {
    return chance(probability) && faults.contains(fault) && !calm;
  }

  /// Runs later, after a random delay of up to this.
  public void later(long delayNanosMax, Runnable what) {
    long slow = strikes(Fault.SLOW, 0.05) ? 50 : 1;
    long delayNanos = delayNanosMax == 0 ? 0 : random.nextLong(delayNanosMax * slow);
    events.add(new Event(nowNanos + delayNanos, random.nextInt(), what));
  }

  /// Runs later, after exactly this delay, unless what is returned is run before.
  public Runnable after(long delayNanos, Runnable what) {
    Event event = new Event(nowNanos + delayNanos, random.nextInt(), what);
    events.add(event);
    return () -> events.remove(event);
  }

  /// When the next event is due; far away when there is none.
  public long nextNanos() {
    Event next = events.peek();
    return next == null ? Long.MAX_VALUE : Math.max(nowNanos, next.atNanos);
  }

  /// Time passes in which nothing is due.
  public void passTo(long nanos) {
    nowNanos = Math.max(nowNanos, nanos);
  }

  /// Nothing of what was to come will.
  public void forget() {
    events.clear();
  }

  /// Runs things on the simulation's thread, a little later.
  public Executor executor(long delayNanosMax) {
    return task -> later(delayNanosMax, task);
  }

  public boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  /// Runs the next event.
  ///
  /// @return whether there was one
  public boolean step() {
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
