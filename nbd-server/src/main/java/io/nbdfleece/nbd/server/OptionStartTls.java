// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;

/// NBD_OPT_STARTTLS: refused by policy, since this server has no certificate to show.
final class OptionStartTls {
  private OptionStartTls() {}

  static boolean answer(Haggling haggling, ByteBuf payload) {
    if (payload.isReadable()) {
      haggling.error(Nbd.OPT_STARTTLS, Nbd.REP_ERR_INVALID, "NBD_OPT_STARTTLS takes no data");
    } else {
      haggling.error(Nbd.OPT_STARTTLS, Nbd.REP_ERR_POLICY, "TLS is not configured");
    }
    return true;
  }
}
