// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class CaseTest {
  private final Case one = new Case("writes", List.of(Metric.IOPS, Metric.P99_MICROS), List.of());

  private void note(String subject, double iops, double p99Micros) {
    one.note(subject, Map.of(Metric.IOPS, iops, Metric.P99_MICROS, p99Micros));
  }

  @Test
  void moreIsBetterOfRatesAndLessOfTimes() {
    note("nbdfleece", 300, 10);
    note("qemu-nbd 10.0", 100, 40);
    assertEquals(3, one.ratio("nbdfleece", Metric.IOPS, _ -> true));
    assertEquals(4, one.ratio("nbdfleece", Metric.P99_MICROS, _ -> true));
  }

  @Test
  void theBestPeerIsAnotherOneForEachMetric() {
    note("qemu-nbd 10.0", 100, 10);
    note("nbdkit file 1.42", 200, 20);
    assertEquals(Optional.of("nbdkit file 1.42"), one.best(Metric.IOPS, _ -> true));
    assertEquals(Optional.of("qemu-nbd 10.0"), one.best(Metric.P99_MICROS, _ -> true));
  }

  @Test
  void whatHasNoFileIsAYardstickButNoPeerToBeat() {
    note("nbdkit memory 1.42", 900, 1);
    note("qemu-nbd 10.0", 100, 10);
    assertEquals(Optional.of("qemu-nbd 10.0"), one.best(Metric.IOPS, _ -> true));
    assertEquals(9, one.ratio("nbdkit memory 1.42", Metric.IOPS, _ -> true));
  }

  @Test
  void aGoalComparesWithThoseItNames() {
    note("qemu-nbd 10.0", 300, 1);
    note("qsd fleecing raw 10.0", 100, 1);
    note("qsd fleecing qcow2 10.0", 50, 1);
    Goal goal = new Goal(Metric.IOPS, QemuFleecing.NAME, 2);
    assertEquals(Optional.of("qsd fleecing raw 10.0"), one.best(Metric.IOPS, goal::concerns));
  }

  @Test
  void whatFailedInALaterRoundHasNoFigureAndIsNotTheBest() {
    note("qemu-nbd 10.0", 100, 10);
    note("nbdkit file 1.42", 200, 20);
    one.fail("nbdkit file 1.42", "exit 1");
    assertEquals(Double.NaN, one.median("nbdkit file 1.42", Metric.IOPS));
    assertEquals(Optional.of("qemu-nbd 10.0"), one.best(Metric.IOPS, _ -> true));
    assertEquals(Double.NaN, one.ratio("nbdkit file 1.42", Metric.IOPS, _ -> true));
  }

  @Test
  void withoutPeersThereIsNoRatio() {
    note("nbdfleece", 300, 10);
    assertEquals(Double.NaN, one.ratio("nbdfleece", Metric.IOPS, _ -> true));
  }

  @Test
  void theYardstickWithoutASnapshotHasNoGoals() {
    assertTrue(Case.isMeasured("nbdfleece, disk tier"));
    assertFalse(Case.isMeasured("nbdfleece" + Nbdfleece.WITHOUT));
    assertFalse(Case.isMeasured("qemu-nbd 10.0"));
  }
}
