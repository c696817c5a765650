// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.map;

import io.nbdfleece.nbd.ExportInfo;
import java.util.Optional;

/// What the numbers of the well-known metadata contexts mean, as `nbdinfo` calls it.
final class TypeNames {
  private TypeNames() {}

  /// `hole,zero`; empty for a context or a number that has no name.
  static Optional<String> of(String context, long type) {
    if (context.equals(ExportInfo.BASE_ALLOCATION)) {
      return allocation(type);
    }
    if (context.startsWith("qemu:dirty-bitmap:")) {
      return type == 0 ? Optional.of("clean") : type == 1 ? Optional.of("dirty") : Optional.empty();
    }
    if (context.equals("qemu:allocation-depth")) {
      return Optional.of(
          type == 0
              ? "absent"
              : type == 1 ? "local" : "backing depth " + Long.toUnsignedString(type));
    }
    return Optional.empty();
  }

  private static Optional<String> allocation(long type) {
    return switch (Math.toIntExact(Math.clamp(type, -1, 4))) {
      case 0 -> Optional.of("data");
      case 1 -> Optional.of("hole");
      case 2 -> Optional.of("zero");
      case 3 -> Optional.of("hole,zero");
      default -> Optional.empty();
    };
  }
}
