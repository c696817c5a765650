// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/// Two threads that queue a call each and then deliver: both calls are made once, one after the
/// other.
@JCStressTest
@Outcome(id = "2, 0", expect = Expect.ACCEPTABLE, desc = "both were made, never at once")
@State
public class DeliveriesStress {
  private final Deliveries deliveries = new Deliveries();
  private int made;
  private int met;
  private volatile boolean inside;

  private void call() {
    if (inside) {
      met++;
    }
    inside = true;
    made++;
    inside = false;
  }

  @Actor
  public void one() {
    deliveries.add(this::call);
    deliveries.deliver();
  }

  @Actor
  public void other() {
    deliveries.add(this::call);
    deliveries.deliver();
  }

  @Arbiter
  public void end(II_Result result) {
    result.r1 = made;
    result.r2 = met;
  }
}
