// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.io.IOException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// A bitmap, or a checkpoint, cannot do what was asked. The messages are QEMU's where QEMU has one.
public final class BitmapException extends IOException {
  private static final long serialVersionUID = 1;

  private final Reason reason;
  private final @Nullable String hint;

  public BitmapException(Reason reason, String message) {
    super(message);
    this.reason = reason;
    this.hint = null;
  }

  BitmapException(Reason reason, String message, String hint) {
    super(message);
    this.reason = reason;
    this.hint = hint;
  }

  /// QEMU's error for a bitmap that somebody uses.
  public static BitmapException busy(TrackedBitmap bitmap) {
    return BitmapErrors.busy(bitmap);
  }

  /// QEMU's error for a bitmap that cannot be trusted.
  public static BitmapException inconsistent(String name) {
    return BitmapErrors.inconsistent(name);
  }

  public Reason reason() {
    return reason;
  }

  /// What to do about it, for people: QEMU shows its hints on the command line, but not in QMP.
  public Optional<String> hint() {
    return Optional.ofNullable(hint);
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
