// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;

/// The disk file is locked by another process. The message names it and says what to do.
public final class DiskBusyException extends IOException {
  private static final long serialVersionUID = 1;

  public DiskBusyException(String message) {
    super(message);
  }
}
