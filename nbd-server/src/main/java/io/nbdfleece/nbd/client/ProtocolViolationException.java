// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.io.IOException;

/// The server sent what the specification forbids; the connection cannot be trusted any more.
final class ProtocolViolationException extends IOException {
  private static final long serialVersionUID = 1;

  ProtocolViolationException(String whatItSent) {
    super(whatItSent);
  }
}
