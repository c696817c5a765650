// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A number of bytes as people write it: `65536`, `64K`, `256M`, `1.5G`, `2T`. Suffixes are binary,
/// as in qemu and nbdkit; `KiB` and `KB` mean the same as `K`.
///
/// @param bytes not negative
public record ByteSize(long bytes) {
  private static final Pattern FORM =
      Pattern.compile("(\\d+(?:\\.\\d+)?)\\s*(?:([KMGTP])(?:i?B)?|B)?", Pattern.CASE_INSENSITIVE);
  private static final String UNITS = "KMGTP";

  public ByteSize {
    if (bytes < 0) {
      throw new IllegalArgumentException("size: " + bytes + " (expected: >= 0)");
    }
  }

  /// Parses. Throws IllegalArgumentException with a message for the person who typed it.
  public static ByteSize parse(String text) {
    Matcher form = FORM.matcher(text.strip());
    if (!form.matches()) {
      throw new IllegalArgumentException(
          "size: '" + text + "' (expected: bytes, or a number with K, M, G or T, e.g. 256M)");
    }
    String unit = form.group(2);
    int shift = unit == null ? 0 : 10 * (UNITS.indexOf(unit.toUpperCase(Locale.ROOT)) + 1);
    String number = form.group(1);
    try {
      return new ByteSize(
          number.contains(".")
              ? fraction(number, 1L << shift)
              : Math.multiplyExact(Long.parseLong(number), 1L << shift));
    } catch (ArithmeticException | NumberFormatException e) {
      throw new IllegalArgumentException(
          "size: '" + text + "' (expected: a whole number of bytes below 8 EiB)", e);
    }
  }

  // On its own, because loading BigDecimal takes a tenth of the time that a server takes to start.
  private static long fraction(String number, long unitBytes) {
    return new BigDecimal(number).multiply(BigDecimal.valueOf(unitBytes)).longValueExact();
  }

  /// `812 B`, `24.0 MiB`, `1.5 GiB`.
  public static String format(long bytes) {
    int unit = unitOf(bytes);
    return unit == 0 ? bytes + " B" : inUnit(bytes, unit) + " " + unitName(unit);
  }

  /// `4.2/10.0 GiB`: both in the unit of the whole.
  public static String formatPart(long partBytes, long wholeBytes) {
    int unit = unitOf(wholeBytes);
    return unit == 0
        ? partBytes + "/" + wholeBytes + " B"
        : inUnit(partBytes, unit) + "/" + inUnit(wholeBytes, unit) + " " + unitName(unit);
  }

  /// `812 MiB/s`.
  public static String formatRate(double bytesPerSecond) {
    int unit = unitOf((long) bytesPerSecond);
    double scaled = bytesPerSecond / (1L << (10 * unit));
    return String.format(Locale.ROOT, scaled < 10 && unit > 0 ? "%.1f" : "%.0f", scaled)
        + " "
        + unitName(unit)
        + "/s";
  }

  private static int unitOf(long bytes) {
    int unit = 0;
    // 1023.96 KiB would be printed as 1024.0 KiB: step up a little before the full unit.
    while (unit < UNITS.length() && bytes >= (1L << (10 * (unit + 1))) * 0.99995) {
      unit++;
    }
    return unit;
  }

  private static String unitName(int unit) {
    return unit == 0 ? "B" : UNITS.charAt(unit - 1) + "iB";
  }

  private static String inUnit(long bytes, int unit) {
    long unitBytes = 1L << (10 * unit);
    long tenths = (bytes % unitBytes * 10 + unitBytes / 2) / unitBytes;
    return bytes / unitBytes + tenths / 10 + "." + tenths % 10;
  }

  @Override
  public String toString() {
    return format(bytes);
  }
}
