// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

import io.netty.buffer.ByteBuf;

/// Encodes the server's replies in the transmission phase (NBD specification, "Simple reply
/// message", "Structured reply chunk message").
///
/// ```
///   simple      0        4        8        16
///               ┌────────┬────────┬────────┬─────────┐
///               │ magic  │ error  │ cookie │ data …  │
///               └────────┴────────┴────────┴─────────┘
///   structured  0        4       6      8        16       20
///               ┌────────┬───────┬──────┬────────┬────────┬─────────┐
///               │ magic  │ flags │ type │ cookie │ length │ data …  │
///               └────────┴───────┴──────┴────────┴────────┴─────────┘
/// ```
public final class ReplyHeader {
  private ReplyHeader() {}

  /// A simple reply; `errorNumber` 0 is success.
  public static void simple(ByteBuf out, int errorNumber, long cookie) {
    out.writeInt(Nbd.SIMPLE_REPLY_MAGIC).writeInt(errorNumber).writeLong(cookie);
  }

  /// The header of a structured chunk with `lengthBytes` bytes of data behind it.
  public static void chunk(ByteBuf out, int flags, int type, long cookie, int lengthBytes) {
    out.writeInt(Nbd.STRUCTURED_REPLY_MAGIC)
        .writeShort(flags)
        .writeShort(type)
        .writeLong(cookie)
        .writeInt(lengthBytes);
  }

  /// The last chunk of a reply that carries nothing: success.
  public static void doneChunk(ByteBuf out, long cookie) {
    chunk(out, Nbd.REPLY_FLAG_DONE, Nbd.REPLY_NONE, cookie, 0);
  }

  /// The last chunk of a reply that failed, with a text as [WireText#bytes] gives it.
  public static void errorChunk(ByteBuf out, int errorNumber, long cookie, byte[] text) {
    chunk(out, Nbd.REPLY_FLAG_DONE, Nbd.REPLY_ERROR, cookie, 6 + text.length);
    out.writeInt(errorNumber).writeShort(text.length).writeBytes(text);
  }
}
