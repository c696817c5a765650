// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;

/// The store can take no more clusters: RAM is full and the disk tier is full or failing. The
/// message names the scratch directory, the limit or the system's error, and what to do.
public final class StoreFullException extends IOException {
  private static final long serialVersionUID = 1;

  public StoreFullException(String message) {
    super(message);
  }

  public StoreFullException(String message, Throwable cause) {
    super(message, cause);
  }
}
