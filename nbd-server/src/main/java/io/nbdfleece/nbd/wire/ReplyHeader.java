// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.wire;

import io.netty.buffer.ByteBuf;

/// Encodes the server's replies in the transmission phase (NBD specification, "Simple reply
/// message", "Structured reply chunk message", "Extended reply chunk message").
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
///   extended    0        4       6      8        16       24       32
///               ┌────────┬───────┬──────┬────────┬────────┬────────┬─────────┐
///               │ magic  │ flags │ type │ cookie │ offset │ length │ data …  │
///               └────────┴───────┴──────┴────────┴────────┴────────┴─────────┘
/// ```
public final class ReplyHeader {
  private ReplyHeader() {}

  /// A simple reply; `errorNumber` 0 is success.
  public static void simple(ByteBuf out, int errorNumber, long cookie) {
    out.writeInt(Nbd.SIMPLE_REPLY_MAGIC).writeInt(errorNumber).writeLong(cookie);
  }

  /// The header of a chunk with `lengthBytes` bytes of data behind it.
  ///
  /// @param style one that has chunks
  /// @param offsetBytes of the request, not of the chunk; travels in extended headers only
  public static void chunk(
      ByteBuf out,
      HeaderStyle style,
      int flags,
      int type,
      long cookie,
      long offsetBytes,
      int lengthBytes) {
    if (style == HeaderStyle.EXTENDED) {
      out.writeInt(Nbd.EXTENDED_REPLY_MAGIC)
          .writeShort(flags)
          .writeShort(type)
          .writeLong(cookie)
          .writeLong(offsetBytes)
          .writeLong(lengthBytes);
    } else {
      out.writeInt(Nbd.STRUCTURED_REPLY_MAGIC)
          .writeShort(flags)
          .writeShort(type)
          .writeLong(cookie)
          .writeInt(lengthBytes);
    }
  }

  /// The last chunk of a reply that carries nothing: success.
  public static void doneChunk(ByteBuf out, HeaderStyle style, long cookie, long offsetBytes) {
    chunk(out, style, Nbd.REPLY_FLAG_DONE, Nbd.REPLY_NONE, cookie, offsetBytes, 0);
  }

  /// The last chunk of a reply that failed, with a text as [WireText#bytes] gives it.
  public static void errorChunk(
      ByteBuf out, HeaderStyle style, int errorNumber, long cookie, long offsetBytes, byte[] text) {
    chunk(out, style, Nbd.REPLY_FLAG_DONE, Nbd.REPLY_ERROR, cookie, offsetBytes, 6 + text.length);
    out.writeInt(errorNumber).writeShort(text.length).writeBytes(text);
  }

  /// Bytes of a whole hole chunk.
  public static int holeBytes(HeaderStyle style) {
    return style.chunkBytes() + 12;
  }

  /// A chunk that says that `holeBytes` bytes from `holeOffsetBytes` are zeroes.
  public static void holeChunk(
      ByteBuf out,
      HeaderStyle style,
      int flags,
      long cookie,
      long offsetBytes,
      long holeOffsetBytes,
      int holeBytes) {
    chunk(out, style, flags, Nbd.REPLY_OFFSET_HOLE, cookie, offsetBytes, 12);
    out.writeLong(holeOffsetBytes).writeInt(holeBytes);
  }
}
