// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;

/// The name is in use. The message names it and says what to do.
public final class NameTakenException extends IOException {
  private static final long serialVersionUID = 1;

  public NameTakenException(String message) {
    super(message);
  }
}
