// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import java.io.IOException;

/// Zeroing that had to be fast ([Mutation.Speed#FAST_ONLY]) would not be; nothing has changed.
public final class NotFastException extends IOException {
  private static final long serialVersionUID = 1;

  public NotFastException(String message) {
    super(message);
  }

  public NotFastException(String message, Throwable cause) {
    super(message, cause);
  }
}
