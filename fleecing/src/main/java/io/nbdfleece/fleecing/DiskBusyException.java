// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;

/// A disk file, or the state directory, is locked by another process. The message names it and says
/// what to do.
public final class DiskBusyException extends IOException {
  private static final long serialVersionUID = 1;

  public DiskBusyException(String message) {
    super(message);
  }

  public DiskBusyException(String message, Throwable cause) {
    super(message, cause);
  }
}
