// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;

/// NBD_CMD_CACHE.
final class CommandCache extends Request {
  CommandCache(Transmission transmission, RequestHeader header) {
    super(transmission, header, 0);
  }

  @Override
  void start(Export export) {
    export.cache(offsetBytes, lengthBytes, this);
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
