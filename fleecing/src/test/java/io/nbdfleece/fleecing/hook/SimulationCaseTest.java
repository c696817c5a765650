// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumSet;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

final class SimulationCaseTest {
  @Test
  void caseIsShrunkToTheOperationsAndFaultsThatItNeeds() {
    SimulationCase whole =
        new SimulationCase(7, SimulationCase.of(7, 220).kept(), EnumSet.allOf(Fault.class));
    AtomicInteger tries = new AtomicInteger();
    SimulationCase shrunk =
        whole.shrunk(
            less -> {
              tries.incrementAndGet();
              return less.kept().get(3)
                  && less.kept().get(120)
                  && less.kept().get(121)
                  && less.faults().contains(Fault.SLOW);
            });
    assertEquals(
        "-Dtest.seed=7 -Dtest.operations=3,120-121 -Dtest.faults=SLOW", shrunk.properties());
    assertTrue(tries.get() < 300, () -> "tries: " + tries);
  }

  @Test
  void caseThatFailsInAnyCaseIsShrunkToNothing() {
    SimulationCase shrunk = SimulationCase.of(1, 220).shrunk(less -> true);
    assertEquals("-Dtest.seed=1 -Dtest.operations=none -Dtest.faults=none", shrunk.properties());
  }
}
