// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.io.IOException;

/// A bitmap, or a checkpoint, cannot do what was asked. The messages are QEMU's where QEMU has one.
public final class BitmapException extends IOException {
  private static final long serialVersionUID = 1;

  private final Reason reason;

  public BitmapException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }

  /// What kind of failure it is, for exit codes.
  public enum Reason {
    NOT_FOUND,
    EXISTS,
    BUSY,
    /// A full backup is needed.
    INCONSISTENT,
    INVALID,
    UNSUPPORTED
  }
}
