// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// The ranges of the limits.
class ServerLimitsTest {
  private static final ServerLimits DEFAULTS = ServerLimits.defaults();

  private static Arguments number(
      String name, Function<Long, ServerLimits> with, long min, long max) {
    return Arguments.of(name, with, min, min - 1, max, max + 1);
  }

  private static Arguments duration(String name, Function<Duration, ServerLimits> with) {
    Duration min = Duration.ofMillis(1);
    Duration max = Duration.ofDays(24);
    return Arguments.of(name, with, min, min.minusNanos(1), max, max.plusNanos(1));
  }

  static Stream<Arguments> ranges() {
    return Stream.of(
        number("eventLoopCount", v -> DEFAULTS.withEventLoopCount(v.intValue()), 1, 1024),
        number("connectionsMax", v -> DEFAULTS.withConnectionsMax(v.intValue()), 1, 1_000_000),
        number("handshakesMax", v -> DEFAULTS.withHandshakesMax(v.intValue()), 1, 1_000_000),
        duration("handshakeDeadline", DEFAULTS::withHandshakeDeadline),
        number(
            "requestsInFlightMax", v -> DEFAULTS.withRequestsInFlightMax(v.intValue()), 1, 65536),
        number("bytesInFlightMax", DEFAULTS::withBytesInFlightMax, 1, Long.MAX_VALUE / 2),
        number(
            "bytesInFlightTotalMax",
            DEFAULTS::withBytesInFlightTotalMax,
            32 << 20,
            Long.MAX_VALUE / 2),
        number("extentsMax", v -> DEFAULTS.withExtentsMax(v.intValue()), 1, 1 << 20),
        duration("stalledReaderDeadline", DEFAULTS::withStalledReaderDeadline),
        duration("tcpUserTimeout", DEFAULTS::withTcpUserTimeout));
  }

  @ParameterizedTest
  @MethodSource("ranges")
  <T> void valueOutOfItsRangeIsNamed(
      String name, Function<T, ServerLimits> with, T min, T belowMin, T max, T aboveMax) {
    assertNotNull(with.apply(min));
    assertNotNull(with.apply(max));
    for (T wrong : List.of(belowMin, aboveMax)) {
      Exception refusal =
          assertThrows(IllegalArgumentException.class, () -> with.apply(wrong), name);
      String text = String.valueOf(refusal.getMessage());
      assertTrue(text.startsWith(name + ": " + wrong + " (expected: "), text);
    }
  }

  @Test
  void hundredOptionsAreTheLeast() {
    DEFAULTS.withOptionsMax(100);
    assertThrows(IllegalArgumentException.class, () -> DEFAULTS.withOptionsMax(99));
  }
}
