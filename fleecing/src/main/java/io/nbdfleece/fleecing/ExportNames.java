// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.nio.charset.StandardCharsets;

/// What disks and snapshots may be called, so that `disk@snapshot` can be read back, and typed.
final class ExportNames {
  private static final int LENGTH_MAX = 255;

  private ExportNames() {}

  /// Throws IllegalArgumentException with advice unless the name may be used.
  ///
  /// @param what for the message: "disk name"
  static void check(String what, String name) {
    if (name.isEmpty()
        || name.length() > LENGTH_MAX
        || name.chars().anyMatch(c -> c == '@' || c == '/' || Character.isISOControl(c))) {
      throw new IllegalArgumentException(
          what
              + ": '"
              + ShownNames.of(name)
              + "' (expected: 1 to 255 characters, no '@', no '/', no control characters)");
    }
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(name)) {
      throw new IllegalArgumentException(what + ": contains half a character");
    }
  }
}
