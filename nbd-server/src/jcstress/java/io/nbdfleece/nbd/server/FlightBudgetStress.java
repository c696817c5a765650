// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;
import org.openjdk.jcstress.infra.results.II_Result;

/// Who waits for memory gets it as soon as it is there, once, and nothing of it gets lost.
public class FlightBudgetStress {
  private static final long ALL = 10;

  private FlightBudgetStress() {}

  /// Counts what it is granted.
  private static final class Counter implements FlightBudget.Waiter {
    private volatile long awaited;
    private volatile int grants;

    Counter(long awaited) {
      this.awaited = awaited;
    }

    @Override
    public long awaitedBytes() {
      return awaited;
    }

    @Override
    public void awaits(long bytes) {
      awaited = bytes;
    }

    @Override
    public void granted() {
      grants++; // once, if all is well; else who reads it does not care how often
    }
  }

  private static FlightBudget budget(long taken) {
    FlightBudget budget = new FlightBudget(ALL);
    budget.take(taken);
    return budget;
  }

  /// It begins to wait while what it waits for is given back.
  @JCStressTest
  @Outcome(id = "1, 10", expect = Expect.ACCEPTABLE, desc = "granted, and counted")
  @State
  public static class QueueAndGiveBack {
    private final FlightBudget budget = budget(ALL);
    private final Counter waiter = new Counter(ALL);

    @Actor
    public void waits() {
      budget.queue(waiter);
    }

    @Actor
    public void givesBack() {
      budget.giveBack(ALL);
    }

    @Arbiter
    public void end(II_Result result) {
      result.r1 = waiter.grants;
      result.r2 = (int) budget.takenBytes();
    }
  }

  /// It stops waiting while what it waits for is given back: then it has been granted or it has
  /// left, and knows which.
  @JCStressTest
  @Outcome(id = "1, 0, 10", expect = Expect.ACCEPTABLE, desc = "granted")
  @Outcome(id = "0, 1, 0", expect = Expect.ACCEPTABLE, desc = "left")
  @State
  public static class LeaveAndGiveBack {
    private final FlightBudget budget = budget(ALL);
    private final Counter waiter = new Counter(ALL);
    private boolean left;

    public LeaveAndGiveBack() {
      budget.queue(waiter);
    }

    @Actor
    public void leaves() {
      left = budget.leave(waiter);
    }

    @Actor
    public void givesBack() {
      budget.giveBack(ALL);
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = waiter.grants;
      result.r2 = left ? 1 : 0;
      result.r3 = (int) budget.takenBytes();
    }
  }

  /// The first in the queue leaves, and what is given back at that moment is enough for the second.
  @JCStressTest
  @Outcome(id = "0, 1, 10", expect = Expect.ACCEPTABLE, desc = "the second has it")
  @State
  public static class FirstLeavesAndGiveBack {
    private final FlightBudget budget = budget(ALL);
    private final Counter first = new Counter(ALL);
    private final Counter second = new Counter(ALL / 2);

    public FirstLeavesAndGiveBack() {
      budget.queue(first);
      budget.queue(second);
    }

    @Actor
    public void leaves() {
      boolean _ = budget.leave(first);
    }

    @Actor
    public void givesBack() {
      budget.giveBack(ALL / 2);
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = first.grants;
      result.r2 = second.grants;
      result.r3 = (int) budget.takenBytes();
    }
  }

  /// It needs less than it did while some is given back: less is enough then.
  @JCStressTest
  @Outcome(id = "1, 10", expect = Expect.ACCEPTABLE, desc = "granted what it needs now")
  @State
  public static class ReviseAndGiveBack {
    private final FlightBudget budget = budget(ALL);
    private final Counter waiter = new Counter(ALL);

    public ReviseAndGiveBack() {
      budget.queue(waiter);
    }

    @Actor
    public void revises() {
      budget.revise(waiter, ALL / 2);
    }

    @Actor
    public void givesBack() {
      budget.giveBack(ALL / 2);
    }

    @Arbiter
    public void end(II_Result result) {
      result.r1 = waiter.grants;
      result.r2 = (int) budget.takenBytes();
    }
  }

  /// Who comes by does not overtake who waits, and nobody is forgotten for it.
  @JCStressTest
  @Outcome(id = "1, 0, 10", expect = Expect.ACCEPTABLE, desc = "who waited has it")
  @Outcome(id = "0, 1, 10", expect = Expect.ACCEPTABLE, desc = "taken before anybody waited")
  @State
  public static class QueueAndTake {
    private final FlightBudget budget = budget(0);
    private final Counter waiter = new Counter(ALL);
    private boolean took;

    @Actor
    public void waits() {
      budget.queue(waiter);
    }

    @Actor
    public void takes() {
      took = budget.tryTake(ALL);
    }

    @Arbiter
    public void end(III_Result result) {
      result.r1 = waiter.grants;
      result.r2 = took ? 1 : 0;
      result.r3 = (int) budget.takenBytes();
    }
  }
}
