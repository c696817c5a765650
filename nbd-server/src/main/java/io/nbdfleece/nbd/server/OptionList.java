// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.OptionReply;
import io.netty.buffer.ByteBuf;
import java.util.Optional;

/// NBD_OPT_LIST: one NBD_REP_SERVER per export, then the acknowledgement.
final class OptionList {
  private OptionList() {}

  static boolean answer(Haggling haggling, ByteBuf payload) {
    if (payload.isReadable()) {
      haggling.error(Nbd.OPT_LIST, Nbd.REP_ERR_INVALID, "NBD_OPT_LIST takes no data");
      return true;
    }
    for (String name : haggling.names()) {
      // One that has gone since is not listed.
      Optional<Export> export = haggling.find(name);
      if (export.isPresent()) {
        OptionReply.server(haggling.out(), name, export.get().info().description());
      }
    }
    haggling.ack(Nbd.OPT_LIST);
    return true;
  }
}
