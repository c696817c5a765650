// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.Export.Durability;
import io.nbdfleece.nbd.Export.Zeroing;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.Nbd;

/// NBD_CMD_WRITE_ZEROES.
final class CommandWriteZeroes extends Request {
  private final Zeroing zeroing;
  private final Durability durability;

  CommandWriteZeroes(Transmission transmission, RequestHeader header) {
    super(transmission, header, 0);
    boolean noHole = header.has(Nbd.CMD_FLAG_NO_HOLE);
    zeroing =
        header.has(Nbd.CMD_FLAG_FAST_ZERO)
            ? noHole ? Zeroing.FAST_ONLY_NO_HOLE : Zeroing.FAST_ONLY
            : noHole ? Zeroing.NO_HOLE : Zeroing.MAY_PUNCH;
    durability = header.durability();
  }

  @Override
  void start(Export export) {
    export.writeZeroes(offsetBytes, lengthBytes, zeroing, durability, this);
  }

  @Override
  void reply(Replies replies) {
    replies.success(cookie, offsetBytes, costBytes);
  }

  @Override
  NbdError visible(NbdError error) {
    return error == NbdError.ENOTSUP && zeroing.mustBeFast() ? error : visibleOfRange(error);
  }
}
