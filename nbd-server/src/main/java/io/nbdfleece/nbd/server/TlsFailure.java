// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.handler.ssl.NotSslRecordException;
import java.nio.channels.ClosedChannelException;
import javax.net.ssl.SSLHandshakeException;

/// Why a TLS handshake failed, for one line of the log.
final class TlsFailure {
  private TlsFailure() {}

  static String text(Throwable failure) {
    if (failure instanceof ClosedChannelException) {
      return "the client has gone";
    }
    if (failure instanceof NotSslRecordException) {
      return "what the client sent is not TLS"; // its own message has all of that in it
    }
    Throwable told = failure;
    // The reason is often that of a check of the certificate, which the JDK wraps.
    while (told instanceof SSLHandshakeException && told.getCause() != null) {
      told = told.getCause();
    }
    return String.valueOf(told.getMessage());
  }
}
