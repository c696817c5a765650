// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import java.io.IOException;

/// The server did not answer one request as asked.
final class PieceFailure extends IOException {
  private static final long serialVersionUID = 1;

  private final long offsetBytes;
  private final IOException error;

  PieceFailure(long offsetBytes, IOException error) {
    super(error);
    this.offsetBytes = offsetBytes;
    this.error = error;
  }

  long offsetBytes() {
    return offsetBytes;
  }

  IOException error() {
    return error;
  }
}
