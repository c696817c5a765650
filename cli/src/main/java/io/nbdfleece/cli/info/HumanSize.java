// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.info;

/// Sizes as `nbdinfo` abbreviates them: only when nothing is lost, `10485760` is `10M` and
/// `10485761` stays.
final class HumanSize {
  private static final String UNITS = "KMGTPE";

  private HumanSize() {}

  /// `10M`.
  static String exact(long bytes) {
    int unit = bytes == 0 ? 0 : Math.min(UNITS.length(), Long.numberOfTrailingZeros(bytes) / 10);
    return unit == 0
        ? Long.toString(bytes)
        : (bytes >>> (10 * unit)) + UNITS.substring(unit - 1, unit);
  }

  /// `10485760 (10M)`, or the number alone when there is no shorter one.
  static String both(long bytes) {
    String exact = exact(bytes);
    return exact.equals(Long.toString(bytes)) ? exact : bytes + " (" + exact + ")";
  }
}
