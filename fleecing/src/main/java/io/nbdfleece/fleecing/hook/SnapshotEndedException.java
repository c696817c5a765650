// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.io.IOException;

/// The snapshot yields no data any more. The message says why.
public final class SnapshotEndedException extends IOException {
  private static final long serialVersionUID = 1;

  private final boolean broken;

  SnapshotEndedException(String message, boolean broken) {
    super(message);
    this.broken = broken;
  }

  /// Whether it failed, rather than having been released.
  public boolean broken() {
    return broken;
  }
}
