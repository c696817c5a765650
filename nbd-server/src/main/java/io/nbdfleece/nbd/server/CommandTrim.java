// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.Export.Durability;
import io.nbdfleece.nbd.NbdError;

/// NBD_CMD_TRIM.
final class CommandTrim extends Request {
  private final Durability durability;

  CommandTrim(Transmission transmission, RequestHeader header) {
    super(transmission, header, 0);
    durability = header.durability();
  }

  @Override
  void start(Export export) {
    export.trim(offsetBytes, lengthBytes, durability, this);
  }

  @Override
  void reply(Replies replies) {
    replies.success(cookie, offsetBytes, costBytes);
  }

  @Override
  NbdError visible(NbdError error) {
    return visibleOfRange(error);
  }
}
