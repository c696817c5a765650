// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.time.Duration;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Durations as people read them.
public final class Durations {
  // At most nine digits: 31 years in seconds, and no overflow in days.
  private static final Pattern FORM = Pattern.compile("(\\d{1,9})\\s*(ms|[smhd])?");

  private Durations() {}

  /// `840 ns`, `98 µs`, `1.3 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `10 min`, `2 h`.
  public static String format(long nanos) {
    if (nanos < 1_000) {
      return nanos + " ns";
    }
    if (nanos < 1_000_000) {
      return scaled(nanos / 1e3) + " µs";
    }
    if (nanos < 1_000_000_000) {
      return scaled(nanos / 1e6) + " ms";
    }
    long seconds = nanos / 1_000_000_000;
    if (seconds < 60) {
      return scaled(nanos / 1e9) + " s";
    }
    if (seconds < 3600) {
      return seconds / 60 + " min" + rest(seconds % 60, " s");
    }
    return seconds / 3600 + " h" + rest(seconds % 3600 / 60, " min");
  }

  /// `0:07`, `12:30`, `1:02:03`: time left.
  public static String clock(long seconds) {
    return seconds < 3600
        ? String.format(Locale.ROOT, "%d:%02d", seconds / 60, seconds % 60)
        : String.format(
            Locale.ROOT, "%d:%02d:%02d", seconds / 3600, seconds % 3600 / 60, seconds % 60);
  }

  /// Parses `90`, `90s`, `20ms`, `10m`, `2h`, `1d`: whole numbers, seconds without a unit. Throws
  /// IllegalArgumentException with a message for the person who typed it.
  public static Duration parse(String text) {
    Matcher form = FORM.matcher(text.strip());
    if (!form.matches()) {
      throw new IllegalArgumentException(
          "duration: '"
              + text
              + "' (expected: seconds, or a number with ms, s, m, h or d, e.g. 2h)");
    }
    long number = Long.parseLong(form.group(1));
    return switch (form.group(2)) {
      case "ms" -> Duration.ofMillis(number);
      case "m" -> Duration.ofMinutes(number);
      case "h" -> Duration.ofHours(number);
      case "d" -> Duration.ofDays(number);
      case null, default -> Duration.ofSeconds(number);
    };
  }

  private static String rest(long count, String unit) {
    return count == 0 ? "" : " " + count + unit;
  }

  private static String scaled(double value) {
    return String.format(Locale.ROOT, value < 9.95 ? "%.1f" : "%.0f", value);
  }
}
