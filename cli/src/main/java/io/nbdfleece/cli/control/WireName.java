// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/// Enum constants as QMP and the command line write them.
public final class WireName {
  private WireName() {}

  /// `BREAK_SNAPSHOT` is `break-snapshot`.
  public static String of(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /// The wire names of all constants.
  static <E extends Enum<E>> List<String> all(Class<E> type) {
    return Arrays.stream(type.getEnumConstants()).map(WireName::of).toList();
  }
}
