// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.io.IOException;

/// A request failed with this NBD error. The message is for people and may reach the client.
public final class NbdException extends IOException {
  private static final long serialVersionUID = 1;

  private final NbdError error;

  public NbdException(NbdError error, String message) {
    super(message);
    this.error = error;
  }

  public NbdException(NbdError error, String message, Throwable cause) {
    super(message, cause);
    this.error = error;
  }

  public NbdError error() {
    return error;
  }
}
