// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

final class LatencyHistogramTest {
  @Test
  void percentilesAreWithinFourPercentAndNeverTooLow() {
    LatencyHistogram histogram = new LatencyHistogram();
    for (int i = 1; i <= 100_000; i++) {
      histogram.record(i * 1000L);
    }
    for (int percent = 1; percent <= 100; percent++) {
      long exact = percent * 1_000_000L;
      long shown = histogram.percentileNanos(percent / 100.0);
      assertTrue(shown >= exact && shown <= exact * 1.04, percent + "%: " + shown);
    }
    assertEquals(100_000_000L, histogram.maxNanos());
  }

  @Test
  void extremesFit() {
    LatencyHistogram histogram = new LatencyHistogram();
    histogram.record(0);
    histogram.record(Long.MAX_VALUE);
    assertEquals(0, histogram.percentileNanos(0.5));
    assertEquals(Long.MAX_VALUE, histogram.percentileNanos(1));
  }
}
