// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.io.IOException;

/// The only errors that travel in an NBD reply (NBD specification, "Error values").
public enum NbdError {
  /// Not allowed on this export.
  EPERM(1),
  /// Input/output error.
  EIO(5),
  /// Out of memory.
  ENOMEM(12),
  /// Invalid argument.
  EINVAL(22),
  /// No space left, or a write past the end.
  ENOSPC(28),
  /// Too large for what was asked.
  EOVERFLOW(75),
  /// Not supported; only for fast zeroing.
  ENOTSUP(95),
  /// The server is shutting down.
  ESHUTDOWN(108);

  private final int number;

  NbdError(int number) {
    this.number = number;
  }

  /// The number on the wire.
  public int number() {
    return number;
  }

  /// The one mapping from what went wrong to what a client sees: an [NbdException] says it itself,
  /// everything else is EIO and never EINVAL, so that no failure looks like the client's mistake.
  public static NbdError from(IOException error) {
    return error instanceof NbdException nbd ? nbd.error() : EIO;
  }

  /// The error with that number; EINVAL for one that the specification does not know, as it asks.
  public static NbdError ofNumber(int number) {
    for (NbdError error : values()) {
      if (error.number == number) {
        return error;
      }
    }
    return EINVAL;
  }
}
