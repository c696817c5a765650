// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// How much a throttle group lets through: QEMU's `ThrottleLimits`, by its names, checked by its
/// rules and with its texts. For each of `bps-total`, `bps-read`, `bps-write`, `iops-total`,
/// `iops-read`, `iops-write` (0 = no limit):
///
/// - the rate itself, bytes or requests per second
/// - `-max`: the rate in a burst (0 = none)
/// - `-max-length`: how many seconds a burst may last, at least 1
///
/// and `iops-size`: a request of more bytes than this counts as several (0 = as one).
public final class ThrottleLimits {
  private static final long RATE_MAX = 1_000_000_000_000_000L;
  private static final long LENGTH_MAX = 4_294_967_295L;
  private static final String MAX = "-max";
  private static final String LENGTH = "-max-length";
  private static final String SIZE = "iops-size";

  /// Nothing is limited.
  public static final ThrottleLimits NONE = new ThrottleLimits(defaults());

  private final Map<String, Long> values;

  private ThrottleLimits(Map<String, Long> values) {
    this.values = values;
  }

  private static Map<String, Long> defaults() {
    Map<String, Long> values = new LinkedHashMap<>();
    for (Meter meter : Meter.values()) {
      values.put(meter.wireName, 0L);
      values.put(meter.wireName + MAX, 0L);
      values.put(meter.wireName + LENGTH, 1L);
    }
    values.put(SIZE, 0L);
    return values;
  }

  /// The names of all values.
  public static List<String> names() {
    return new ArrayList<>(NONE.values.keySet());
  }

  /// All values, by name.
  public Map<String, Long> values() {
    return new LinkedHashMap<>(values);
  }

  /// These limits with some values replaced. Throws IllegalArgumentException when they do not go
  /// together.
  public ThrottleLimits with(Map<String, Long> changes) {
    Map<String, Long> next = values();
    for (Map.Entry<String, Long> change : changes.entrySet()) {
      if (next.put(change.getKey(), change.getValue()) == null) {
        throw new IllegalArgumentException(change.getKey() + ": no limit is called that");
      }
      if (change.getKey().endsWith(LENGTH)
          && (change.getValue() < 0 || change.getValue() > LENGTH_MAX)) {
        throw new IllegalArgumentException(
            change.getKey() + " value must be in the range [0, " + LENGTH_MAX + "]");
      }
      if (change.getValue() < 0) {
        throw outside();
      }
    }
    ThrottleLimits limits = new ThrottleLimits(next);
    limits.check();
    return limits;
  }

  private static IllegalArgumentException outside() {
    return new IllegalArgumentException("bps/iops/max values must be within [0, " + RATE_MAX + "]");
  }

  private void check() {
    for (String unit : List.of("bps", "iops")) {
      for (String kind : List.of("", MAX)) {
        if (value(unit + "-total" + kind) > 0
            && (value(unit + "-read" + kind) > 0 || value(unit + "-write" + kind) > 0)) {
          throw new IllegalArgumentException(
              "bps/iops/max total values and read/write values cannot be used at the same time");
        }
      }
    }
    if (value(SIZE) > 0
        && rate(Meter.IOPS_TOTAL) == 0
        && rate(Meter.IOPS_READ) == 0
        && rate(Meter.IOPS_WRITE) == 0) {
      throw new IllegalArgumentException("iops size requires an iops value to be set");
    }
    for (Meter meter : Meter.values()) {
      check(meter);
    }
  }

  private void check(Meter meter) {
    long max = burstRate(meter);
    long seconds = burstSeconds(meter);
    if (rate(meter) > RATE_MAX || max > RATE_MAX) {
      throw outside();
    }
    if (seconds == 0) {
      throw new IllegalArgumentException("the burst length cannot be 0");
    }
    if (seconds > 1 && max == 0) {
      throw new IllegalArgumentException("burst length set without burst rate");
    }
    if (max > 0 && seconds > RATE_MAX / max) {
      throw new IllegalArgumentException("burst length too high for this burst rate");
    }
    if (max > 0 && rate(meter) == 0) {
      throw new IllegalArgumentException("bps_max/iops_max require corresponding bps/iops values");
    }
    if (max > 0 && max < rate(meter)) {
      throw new IllegalArgumentException("bps_max/iops_max cannot be lower than bps/iops");
    }
  }

  private long value(String name) {
    return values.getOrDefault(name, 0L);
  }

  long rate(Meter meter) {
    return value(meter.wireName);
  }

  long burstRate(Meter meter) {
    return value(meter.wireName + MAX);
  }

  long burstSeconds(Meter meter) {
    return value(meter.wireName + LENGTH);
  }

  /// How many requests one of that length counts as.
  double requests(long lengthBytes) {
    long sizeBytes = value(SIZE);
    return sizeBytes > 0 && lengthBytes > sizeBytes ? (double) lengthBytes / sizeBytes : 1;
  }

  /// What is measured.
  enum Meter {
    BPS_TOTAL("bps-total", true, true, true),
    BPS_READ("bps-read", true, true, false),
    BPS_WRITE("bps-write", true, false, true),
    IOPS_TOTAL("iops-total", false, true, true),
    IOPS_READ("iops-read", false, true, false),
    IOPS_WRITE("iops-write", false, false, true);

    private final String wireName;
    final boolean countsBytes;
    final boolean countsReads;
    final boolean countsWrites;

    Meter(String wireName, boolean countsBytes, boolean countsReads, boolean countsWrites) {
      this.wireName = wireName;
      this.countsBytes = countsBytes;
      this.countsReads = countsReads;
      this.countsWrites = countsWrites;
    }
  }
}
