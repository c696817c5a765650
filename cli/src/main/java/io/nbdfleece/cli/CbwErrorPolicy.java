// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.util.Locale;

/// `--on-cbw-error`, with QEMU's words.
enum CbwErrorPolicy {
  BREAK_SNAPSHOT,
  BREAK_GUEST_WRITE;

  /// In any case of letters.
  static CbwErrorPolicy parse(String text) {
    for (CbwErrorPolicy policy : values()) {
      if (policy.toString().equalsIgnoreCase(text)) {
        return policy;
      }
    }
    throw new IllegalArgumentException(
        "'" + text + "' (expected: " + BREAK_SNAPSHOT + " or " + BREAK_GUEST_WRITE + ")");
  }

  /// `break-snapshot`.
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
