// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;

/// NBD_CMD_FLUSH.
final class CommandFlush extends Request {
  CommandFlush(Transmission transmission, RequestHeader header) {
    super(transmission, header, 0);
  }

  @Override
  void start(Export export) {
    export.flush(this);
  }

  @Override
  void reply(Replies replies) {
    replies.success(cookie, offsetBytes, costBytes);
  }
}
