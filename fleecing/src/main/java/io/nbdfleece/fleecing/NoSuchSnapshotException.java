// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;

/// There is no snapshot of that name. The message names it and says what to do.
public final class NoSuchSnapshotException extends IOException {
  private static final long serialVersionUID = 1;

  public NoSuchSnapshotException(String message) {
    super(message);
  }
}
