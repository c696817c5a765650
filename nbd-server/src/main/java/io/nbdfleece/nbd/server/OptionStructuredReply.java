// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;

/// NBD_OPT_STRUCTURED_REPLY: from now on reads are answered in chunks. Asking twice changes
/// nothing.
final class OptionStructuredReply {
  private OptionStructuredReply() {}

  static boolean answer(Haggling haggling, ByteBuf payload) {
    if (payload.isReadable()) {
      haggling.error(
          Nbd.OPT_STRUCTURED_REPLY, Nbd.REP_ERR_INVALID, "NBD_OPT_STRUCTURED_REPLY takes no data");
    } else if (haggling.extendedHeaders()) {
      haggling.error(
          Nbd.OPT_STRUCTURED_REPLY,
          Nbd.REP_ERR_EXT_HEADER_REQD,
          "extended headers are agreed on already and comprise structured replies");
    } else {
      haggling.agreeStructuredReplies();
      haggling.ack(Nbd.OPT_STRUCTURED_REPLY);
    }
    return true;
  }
}
