// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdError;

/// What the server makes of a request before the export sees it (NBD specification, "Error
/// values").
enum Verdict {
  /// Goes to the export. Its error is meaningless.
  ACCEPTED(NbdError.EIO, ""),
  UNKNOWN_COMMAND(NbdError.EINVAL, "unknown or not advertised command"),
  BAD_FLAGS(NbdError.EINVAL, "flags not valid for this command"),
  NOT_ALLOWED(NbdError.EPERM, "the export does not allow this"),
  PAST_END(NbdError.EINVAL, "range reaches past the end of the export"),
  NO_ROOM(NbdError.ENOSPC, "write reaches past the end of the export"),
  TOO_LONG(NbdError.EINVAL, "longer than the largest payload, 32 MiB"),
  NOT_ALIGNED(NbdError.EINVAL, "not aligned to the minimum block size"),
  BAD_PAYLOAD(NbdError.EINVAL, "payload names no, unknown or repeated metadata contexts"),
  NOT_ZERO(NbdError.EINVAL, "offset and length of a flush must be zero"),
  NO_CONTEXT(NbdError.EINVAL, "no metadata context was selected"),
  NO_MEMORY(NbdError.EIO, "the server has no memory for this request now"),
  WITHDRAWN(NbdError.ESHUTDOWN, "the export has been taken away"),
  SHUTTING_DOWN(NbdError.ESHUTDOWN, "the server is shutting down");

  private final NbdError error;
  private final String text;

  Verdict(NbdError error, String text) {
    this.error = error;
    this.text = text;
  }

  NbdError error() {
    return error;
  }

  String text() {
    return text;
  }
}
