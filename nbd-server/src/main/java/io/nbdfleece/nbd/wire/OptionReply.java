// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

import io.netty.buffer.ByteBuf;
import java.nio.charset.StandardCharsets;

/// Encodes the server's replies to options (NBD specification, "Option reply types").
///
/// ```
///   0        8        12       16       20
///   ┌────────┬────────┬────────┬────────┬─────────┐
///   │ magic  │ option │ type   │ length │ data …  │
///   └────────┴────────┴────────┴────────┴─────────┘
/// ```
public final class OptionReply {
  /// Bytes before the data.
  public static final int HEADER_BYTES = 20;

  private OptionReply() {}

  public static void ack(ByteBuf out, int option) {
    header(out, option, Nbd.REP_ACK, 0);
  }

  /// An error with a text for people, cut to the longest string the protocol allows.
  public static void error(ByteBuf out, int option, int type, String text) {
    byte[] bytes = WireText.bytes(text);
    header(out, option, type, bytes.length);
    out.writeBytes(bytes);
  }

  /// NBD_REP_SERVER: one export of NBD_OPT_LIST.
  public static void server(ByteBuf out, String name, String description) {
    byte[] nameBytes = WireText.bytes(name);
    byte[] textBytes = WireText.bytes(description);
    header(out, Nbd.OPT_LIST, Nbd.REP_SERVER, 4 + nameBytes.length + textBytes.length);
    out.writeInt(nameBytes.length).writeBytes(nameBytes).writeBytes(textBytes);
  }

  /// NBD_INFO_EXPORT.
  public static void infoExport(ByteBuf out, int option, long sizeBytes, int transmissionFlags) {
    header(out, option, Nbd.REP_INFO, 12);
    out.writeShort(Nbd.INFO_EXPORT).writeLong(sizeBytes).writeShort(transmissionFlags);
  }

  /// NBD_INFO_NAME or NBD_INFO_DESCRIPTION.
  public static void infoText(ByteBuf out, int option, int infoType, String text) {
    byte[] bytes = WireText.bytes(text);
    header(out, option, Nbd.REP_INFO, 2 + bytes.length);
    out.writeShort(infoType).writeBytes(bytes);
  }

  /// NBD_INFO_BLOCK_SIZE.
  public static void infoBlockSize(
      ByteBuf out, int option, int minimumBytes, int preferredBytes, int payloadBytesMax) {
    header(out, option, Nbd.REP_INFO, 14);
    out.writeShort(Nbd.INFO_BLOCK_SIZE)
        .writeInt(minimumBytes)
        .writeInt(preferredBytes)
        .writeInt(payloadBytesMax);
  }

  /// NBD_REP_META_CONTEXT.
  public static void metaContext(ByteBuf out, int option, int contextId, String name) {
    byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
    header(out, option, Nbd.REP_META_CONTEXT, 4 + bytes.length);
    out.writeInt(contextId).writeBytes(bytes);
  }

  private static void header(ByteBuf out, int option, int type, int lengthBytes) {
    out.writeLong(Nbd.OPTION_REPLY_MAGIC).writeInt(option).writeInt(type).writeInt(lengthBytes);
  }
}
