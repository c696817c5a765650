// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.pull.CopyPlan.Piece;
import io.nbdfleece.nbd.Extent;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class CopyPlanTest {
  private static final int ZERO = Extent.ZERO | Extent.HOLE;

  @Test
  void dataIsCutAtMultiplesOfTheRequestSize() {
    CopyPlan plan = new CopyPlan(40, new DoneRanges());
    plan.add(List.of(new Extent(5, ZERO), new Extent(35, 0)));
    assertEquals(
        List.of(
            new Piece(0, 5, true),
            new Piece(5, 11, false),
            new Piece(16, 16, false),
            new Piece(32, 8, false)),
        all(plan, 16));
  }

  @Test
  void neighboursOfOneKindAreOne() {
    CopyPlan plan = new CopyPlan(12, new DoneRanges());
    plan.add(List.of(new Extent(2, ZERO), new Extent(2, Extent.ZERO), new Extent(4, 0)));
    assertFalse(plan.isComplete());
    assertEquals(8, plan.plannedBytes());
    plan.add(List.of(new Extent(4, Extent.HOLE)));
    assertTrue(plan.isComplete());
    assertEquals(List.of(new Piece(0, 4, true), new Piece(4, 8, false)), all(plan, 16));
  }

  @Test
  void anExtentPastTheEndIsCut() {
    CopyPlan plan = new CopyPlan(10, new DoneRanges());
    plan.add(List.of(new Extent(100, ZERO), new Extent(5, 0)));
    assertTrue(plan.isComplete());
    assertEquals(List.of(new Piece(0, 10, true)), all(plan, 16));
  }

  @Test
  void withoutBlockStatusAllIsData() {
    CopyPlan plan = new CopyPlan(20, new DoneRanges());
    plan.addAllAsData();
    assertEquals(List.of(new Piece(0, 16, false), new Piece(16, 4, false)), all(plan, 16));
  }

  private static List<Piece> all(CopyPlan plan, int dataBytesMax) {
    List<Piece> pieces = new ArrayList<>();
    for (Optional<Piece> p = plan.next(dataBytesMax); p.isPresent(); p = plan.next(dataBytesMax)) {
      pieces.add(p.get());
    }
    return pieces;
  }
}
