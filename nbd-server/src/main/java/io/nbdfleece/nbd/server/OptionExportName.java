// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.wire.TransmissionFlags;
import io.nbdfleece.nbd.wire.WireText;
import io.netty.buffer.ByteBuf;
import java.util.Optional;

/// NBD_OPT_EXPORT_NAME: the old way to open an export. It cannot fail but by disconnecting.
final class OptionExportName {
  private static final int ZEROES = 124;

  private OptionExportName() {}

  static boolean answer(Haggling haggling, ByteBuf payload) {
    if (haggling.extendedHeaders()) {
      haggling.connection().drop("NBD_OPT_EXPORT_NAME after NBD_OPT_EXTENDED_HEADERS");
      return false;
    }
    Optional<String> name = WireText.read(payload, payload.readableBytes());
    if (name.isEmpty()) {
      haggling.connection().drop("export name: not UTF-8, holds NUL, or is over 4096 bytes");
      return false;
    }
    Optional<Export> export = haggling.find(name.get());
    if (export.isEmpty()) {
      haggling.connection().drop("no export named " + WireText.quoted(name.get()));
      return false;
    }
    if (!haggling.connection().admit()) {
      haggling.connection().drop("too many clients");
      return false;
    }
    ExportInfo info = export.get().info();
    ByteBuf out = haggling.out();
    out.writeLong(info.sizeBytes());
    out.writeShort(TransmissionFlags.of(info, haggling.structuredReplies()));
    if (haggling.zeroesWanted()) {
      out.writeZero(ZEROES);
    }
    return haggling.open(name.get(), export.get());
  }
}
