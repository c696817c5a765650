// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.util.Locale;

/// What a figure counts.
enum Metric {
  MIB_PER_SECOND("MiB/s", Better.MORE),
  IOPS("IOPS", Better.MORE),
  P99_MICROS("p99 µs", Better.LESS),
  MAX_MILLIS("longest ms", Better.LESS),
  SECONDS("s", Better.LESS),
  READY_MILLIS("ready ms", Better.LESS),
  PERCENT_OF_WARM("% of warm", Better.MORE),
  CPU_SECONDS_PER_GIB("CPU s/GiB", Better.LESS),
  KIB("KiB", Better.LESS),
  KIB_LATER("KiB in use", Better.LESS),
  RESIDENT_KIB("RSS KiB", Better.LESS);

  private final String unit;
  private final Better better;

  Metric(String unit, Better better) {
    this.unit = unit;
    this.better = better;
  }

  String unit() {
    return unit;
  }

  /// How often better `figure` is than `other`: above 1 it is the better one.
  double ratio(double figure, double other) {
    return switch (better) {
      case MORE -> figure / other;
      case LESS -> other / figure;
    };
  }

  /// What a figure may be at the worst, in words, to be `factor` times better than another one: `≥
  /// 2.0` or `≤ 0.5` times that.
  String bound(double factor) {
    return switch (better) {
      case MORE -> String.format(Locale.ROOT, "≥ %.1f", factor);
      case LESS -> String.format(Locale.ROOT, "≤ %.1f", 1 / factor);
    };
  }

  private enum Better {
    MORE,
    LESS
  }
}
