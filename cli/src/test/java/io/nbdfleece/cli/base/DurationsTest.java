// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class DurationsTest {
  @ParameterizedTest
  @CsvSource({
    "840, 840 ns",
    "98000, 98 µs",
    "1340000, 1.3 ms",
    "2400000000, 2.4 s",
    "200000000000, 3 min 20 s",
    "7500000000000, 2 h 5 min",
    "600000000000, 10 min",
    "7200000000000, 2 h"
  })
  void durationsAreShownInTheirUnit(long nanos, String text) {
    assertEquals(text, Durations.format(nanos));
  }

  @ParameterizedTest
  @CsvSource({"7, 0:07", "750, 12:30", "3723, 1:02:03"})
  void timeLeftLooksLikeAClock(long seconds, String text) {
    assertEquals(text, Durations.clock(seconds));
  }

  @ParameterizedTest
  @CsvSource({"90, 90", "90s, 90", "10m, 600", "2h, 7200", "1 d, 86400", "1500ms, 1"})
  void durationsAreTypedWithAUnit(String text, long seconds) {
    assertEquals(seconds, Durations.parse(text).toSeconds());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "h", "-1", "2w", "1.5h", "9999999999"})
  void whatIsNoDurationIsRefused(String text) {
    assertThrows(IllegalArgumentException.class, () -> Durations.parse(text));
  }
}
