// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;

/// NBD_OPT_EXTENDED_HEADERS: requests and replies get headers of 32 bytes with lengths of 64 bits.
/// It comprises structured replies. Asking twice changes nothing.
final class OptionExtendedHeaders {
  private OptionExtendedHeaders() {}

  static boolean answer(Haggling haggling, ByteBuf payload) {
    if (payload.isReadable()) {
      haggling.error(
          Nbd.OPT_EXTENDED_HEADERS, Nbd.REP_ERR_INVALID, "NBD_OPT_EXTENDED_HEADERS takes no data");
    } else {
      haggling.agreeExtendedHeaders();
      haggling.ack(Nbd.OPT_EXTENDED_HEADERS);
    }
    return true;
  }
}
