// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.util.Locale;

/// Durations as people read them.
public final class Durations {
  private Durations() {}

  /// `840 ns`, `98 µs`, `1.3 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`.
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
      return seconds / 60 + " min " + seconds % 60 + " s";
    }
    return seconds / 3600 + " h " + seconds % 3600 / 60 + " min";
  }

  /// `0:07`, `12:30`, `1:02:03`: time left.
  public static String clock(long seconds) {
    return seconds < 3600
        ? String.format(Locale.ROOT, "%d:%02d", seconds / 60, seconds % 60)
        : String.format(
            Locale.ROOT, "%d:%02d:%02d", seconds / 3600, seconds % 3600 / 60, seconds % 60);
  }

  private static String scaled(double value) {
    return String.format(Locale.ROOT, value < 9.95 ? "%.1f" : "%.0f", value);
  }
}
