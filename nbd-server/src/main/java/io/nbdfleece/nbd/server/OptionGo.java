// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.OptionReply;
import io.nbdfleece.nbd.wire.TransmissionFlags;
import io.nbdfleece.nbd.wire.WireText;
import io.netty.buffer.ByteBuf;
import java.util.Optional;

/// NBD_OPT_GO, and NBD_OPT_INFO, which is the same without opening the export.
///
/// ```
///   ┌─────────┬────────┬───────┬────────────┐
///   │ name    │ name … │ count │ count × 16 │
///   │ length  │        │ 16 bit│ bit types  │
///   └─────────┴────────┴───────┴────────────┘
/// ```
final class OptionGo {
  private OptionGo() {}

  static boolean answer(Haggling haggling, int option, ByteBuf payload) {
    int bytes = payload.readableBytes();
    long nameBytes = bytes < 6 ? -1 : payload.readUnsignedInt();
    if (nameBytes < 0 || nameBytes > bytes - 6) {
      haggling.error(option, Nbd.REP_ERR_INVALID, "name length does not fit the option's length");
      return true;
    }
    Optional<String> name = WireText.read(payload, (int) nameBytes);
    int typeCount = payload.readUnsignedShort();
    if (payload.readableBytes() != 2 * typeCount) {
      haggling.error(
          option, Nbd.REP_ERR_INVALID, "count of types does not fit the option's length");
      return true;
    }
    if (name.isEmpty()) {
      haggling.badText(option);
      return true;
    }
    Optional<Export> export = haggling.find(name.get());
    if (export.isEmpty()) {
      haggling.noExport(option, name.get());
      return true;
    }
    if (option == Nbd.OPT_GO && !haggling.connection().admit()) {
      haggling.error(option, Nbd.REP_ERR_POLICY, "too many clients: try again later");
      return true;
    }
    describe(haggling, option, name.get(), export.get().info(), payload);
    haggling.ack(option);
    return option != Nbd.OPT_GO || haggling.open(name.get(), export.get());
  }

  private static void describe(
      Haggling haggling, int option, String name, ExportInfo info, ByteBuf types) {
    boolean statusPayload = haggling.extendedHeaders() && !haggling.selectedMeta(name).isEmpty();
    int flags = TransmissionFlags.of(info, haggling.structuredReplies(), statusPayload);
    OptionReply.infoExport(haggling.out(), option, info.sizeBytes(), flags);
    int seen = 0;
    while (types.isReadable()) {
      int type = types.readUnsignedShort();
      // Once each, however often asked: 32,000 names are no answer.
      if (type <= Nbd.INFO_BLOCK_SIZE && (seen & 1 << type) == 0) {
        seen |= 1 << type;
        describe(haggling, option, name, info, type);
      }
    }
  }

  private static void describe(
      Haggling haggling, int option, String name, ExportInfo info, int type) {
    ByteBuf out = haggling.out();
    switch (type) {
      case Nbd.INFO_NAME -> OptionReply.infoText(out, option, type, haggling.canonicalName(name));
      case Nbd.INFO_DESCRIPTION -> {
        if (!info.description().isEmpty()) {
          OptionReply.infoText(out, option, type, info.description());
        }
      }
      case Nbd.INFO_BLOCK_SIZE ->
          OptionReply.infoBlockSize(
              out,
              option,
              info.minimumBlockBytes(),
              info.preferredBlockBytes(),
              WireLimits.PAYLOAD_BYTES_MAX);
      default -> {
        // NBD_INFO_EXPORT is sent in any case; the rest is unknown and ignored.
      }
    }
  }
}
