// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

final class ProgressTest {
  private static final long GIB = 1L << 30;
  private static final long SECOND = 1_000_000_000L;
  private static final double RATE = 812 << 20;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final PrintStream out = new PrintStream(bytes, true, UTF_8);

  private static PullState state(double doneGib, double seconds) {
    return new PullState(
        "vda@nightly",
        (long) Math.ceil(doneGib * GIB),
        (long) Math.ceil(doneGib * GIB),
        10 * GIB,
        (long) (seconds * SECOND),
        RATE,
        RATE);
  }

  @Test
  void theBarShowsPercentSizeRateAndTimeLeft() {
    assertEquals(
        "vda@nightly  42%|████▏     | 4.2/10.0 GiB  812 MiB/s  eta 0:08",
        new ProgressBar(out, 63, "").render(state(4.2, 5)));
  }

  @Test
  void theBarFillsTheTerminalButNeverWraps() {
    for (int columns = 20; columns < 120; columns++) {
      String line = new ProgressBar(out, columns, "").render(state(4.2, 5));
      assertTrue(line.length() < columns, columns + ": " + line);
    }
  }

  @Test
  void aDoneBarShowsHowLongItTook() {
    assertEquals(
        "vda@nightly 100%|██████████| 10.0/10.0 GiB  812 MiB/s  in 13 s",
        new ProgressBar(out, 63, "").render(state(10, 13.2)));
  }

  @Test
  void theBarGrowsByEighths() {
    assertEquals("          ", ProgressBar.bar(0, 10));
    assertEquals("▏         ", ProgressBar.bar(0.0125, 10));
    assertEquals("████▌     ", ProgressBar.bar(0.45, 10));
    assertEquals("██████████", ProgressBar.bar(1, 10));
  }

  @Test
  void theBarIsRedrawnAtMostTenTimesASecond() {
    ProgressBar bar = new ProgressBar(out, 80, "");
    for (int i = 0; i < 1000; i++) {
      bar.update(state(i / 1000.0, i / 1000.0));
    }
    assertEquals(10, text().chars().filter(c -> c == '\r').count());
  }

  @Test
  void linesComeWhenThreeSecondsPassedAndThePercentageChanged() {
    ProgressLines lines = new ProgressLines(out);
    for (int i = 0; i <= 100; i++) {
      lines.update(state(i < 50 ? 4.2 : 8.4, i / 10.0));
    }
    assertEquals(
        List.of(
            "vda@nightly: 42% (4.2/10.0 GiB) in 3.0 s, 812 MiB/s, eta 0:08",
            "vda@nightly: 84% (8.4/10.0 GiB) in 6.0 s, 812 MiB/s, eta 0:03"),
        text().lines().toList());
  }

  @Test
  void numbersGrowAndEndWithAHundred() {
    Progress numbers = Progress.numbers(out);
    for (double gib : new double[] {0, 0.01, 4.2, 4.2001, 10}) {
      numbers.update(state(gib, 1));
    }
    numbers.finished(state(10, 1));
    assertEquals(List.of("0/100", "42/100", "99/100", "100/100"), text().lines().toList());
  }

  @Test
  void jsonLinesCarryTheFigures() {
    Progress json = Progress.json(out);
    json.update(state(4.2, 0.1));
    json.update(state(4.3, 0.2));
    json.finished(state(10, 13));
    List<JsonNode> lines = text().lines().map(line -> Json.parse(line.getBytes(UTF_8))).toList();
    assertEquals(2, lines.size());
    assertEquals("status", lines.get(0).path("message_type").asString());
    assertEquals(0.42, lines.get(0).path("percent_done").asDouble(), 1e-6);
    assertEquals(10 * GIB, lines.get(1).path("bytes_done").asLong());
  }

  @Test
  void theRateIsThatOfTheLastSeconds() {
    RateMeter meter = new RateMeter(0, 0);
    for (int second = 1; second <= 20; second++) {
      meter.note(second * SECOND, second <= 10 ? second * 100L : 1000 + (second - 10) * 10L);
    }
    assertEquals(10, meter.bytesPerSecond(), 1e-9);
  }

  private String text() {
    return bytes.toString(UTF_8);
  }
}
