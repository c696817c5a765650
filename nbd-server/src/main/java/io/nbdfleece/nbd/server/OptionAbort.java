// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.wire.Nbd;

/// NBD_OPT_ABORT: acknowledged, then the connection ends. A payload is ignored.
final class OptionAbort {
  private OptionAbort() {}

  static boolean answer(Haggling haggling) {
    haggling.ack(Nbd.OPT_ABORT);
    haggling.flush();
    haggling.connection().closeWhenSent();
    return false;
  }
}
