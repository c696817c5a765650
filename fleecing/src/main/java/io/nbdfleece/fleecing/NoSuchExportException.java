// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;

/// There is no export of that id. The message names it.
public final class NoSuchExportException extends IOException {
  private static final long serialVersionUID = 1;

  public NoSuchExportException(String message) {
    super(message);
  }
}
