// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.map;

import java.io.IOException;
import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// How much there is of each type, as `nbdinfo --map --totals` prints it.
public final class MapTotals implements ExtentWalk.Sink {
  // A context with more types than that is not one to be summed up.
  private static final int TYPES_MAX = 10_000;

  private final String context;
  private final long sizeBytes;
  private final TreeMap<Long, Long> bytesByType = new TreeMap<>(Long::compareUnsigned);

  public MapTotals(String context, long sizeBytes) {
    this.context = context;
    this.sizeBytes = sizeBytes;
  }

  @Override
  public void extent(long offsetBytes, long lengthBytes, long type) throws IOException {
    bytesByType.merge(type, lengthBytes, Long::sum);
    if (bytesByType.size() > TYPES_MAX) {
      throw new IOException(
          context + ": more than " + TYPES_MAX + " types: look at the extents, without --totals");
    }
  }

  /// `size percentage type description` in columns.
  public String text() {
    StringBuilder text = new StringBuilder();
    for (Map.Entry<Long, Long> total : bytesByType.entrySet()) {
      Optional<String> name = TypeNames.of(context, total.getKey());
      text.append(
          String.format(
              "%10d %5s%% %3s%s\n",
              total.getValue(),
              oneDecimal(percent(total.getValue())),
              Long.toUnsignedString(total.getKey()),
              name.map(n -> " " + n).orElse("")));
    }
    return text.toString();
  }

  /// A JSON array with an object a line.
  public String json() {
    if (bytesByType.isEmpty()) {
      return "[]\n";
    }
    StringBuilder text = new StringBuilder("[\n");
    String separator = "";
    for (Map.Entry<Long, Long> total : bytesByType.entrySet()) {
      text.append(separator)
          .append("{ \"size\": ")
          .append(total.getValue())
          .append(", \"percent\": ")
          .append(sixDigits(percent(total.getValue())))
          .append(", \"type\": ")
          .append(Long.toUnsignedString(total.getKey()));
      TypeNames.of(context, total.getKey())
          .ifPresent(name -> text.append(", \"description\": ").append(MapOutput.quoted(name)));
      text.append(" }");
      separator = ",\n";
    }
    return text.append("\n]\n").toString();
  }

  private double percent(long bytes) {
    return 100.0 * bytes / sizeBytes;
  }

  /// `%.1f` of C: rounds the number itself, half to even. Java's rounds its decimal form, half up.
  static String oneDecimal(double percent) {
    return new BigDecimal(percent).setScale(1, RoundingMode.HALF_EVEN).toPlainString();
  }

  /// `%g` of C.
  static String sixDigits(double percent) {
    if (percent == 0) {
      return "0";
    }
    BigDecimal rounded =
        new BigDecimal(percent)
            .round(new MathContext(6, RoundingMode.HALF_EVEN))
            .stripTrailingZeros();
    int exponent = rounded.precision() - rounded.scale() - 1;
    if (exponent >= -4) {
      return rounded.toPlainString();
    }
    String digits = rounded.unscaledValue().toString();
    String mantissa = digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
    return mantissa + "e-" + (exponent > -10 ? "0" : "") + -exponent;
  }
}
