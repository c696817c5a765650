// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.io.IOException;

/// A peer sent more than [QmpLimits] allow. The stream cannot be read on.
final class LimitPassed extends IOException {
  private static final long serialVersionUID = 1;

  LimitPassed(String message) {
    super(message);
  }
}
