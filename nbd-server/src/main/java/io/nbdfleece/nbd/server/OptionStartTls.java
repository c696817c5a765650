// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import java.util.Optional;

/// NBD_OPT_STARTTLS: from the acknowledgement on everything is encrypted.
final class OptionStartTls {
  private OptionStartTls() {}

  static boolean answer(Haggling haggling, ByteBuf payload) {
    Optional<TlsEndpoint> endpoint = haggling.connection().server().endpoint();
    if (payload.isReadable()) {
      return refuse(haggling, Nbd.REP_ERR_INVALID, "NBD_OPT_STARTTLS takes no data");
    }
    if (haggling.isEncrypted()) {
      return refuse(haggling, Nbd.REP_ERR_INVALID, "TLS is in use already");
    }
    if (endpoint.isEmpty()) {
      return refuse(haggling, Nbd.REP_ERR_POLICY, "TLS is not configured");
    }
    if (haggling.connection().input().hasUnread()) {
      // A client cannot know yet that TLS begins, so somebody in between has put that there, to be
      // taken for a part of the encrypted stream.
      haggling.connection().drop("plain text behind NBD_OPT_STARTTLS");
      return false;
    }
    haggling.startTls(endpoint.get());
    return false;
  }

  private static boolean refuse(Haggling haggling, int error, String text) {
    haggling.error(Nbd.OPT_STARTTLS, error, text);
    return true;
  }
}
