// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export.Durability;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;

/// The fields of the request being parsed (NBD specification, "Request message"). One object per
/// connection, filled again for each request, so that parsing allocates nothing.
///
/// ```
///   0        4       6      8        16       24       28
///   ┌────────┬───────┬──────┬────────┬────────┬────────┬───────────┐
///   │ magic  │ flags │ type │ cookie │ offset │ length │ payload … │
///   └────────┴───────┴──────┴────────┴────────┴────────┴───────────┘
///   0        4       6      8        16       24       32              extended
///   ┌────────┬───────┬──────┬────────┬────────┬────────┬───────────┐
///   │ magic  │ flags │ type │ cookie │ offset │ length │ payload … │
///   └────────┴───────┴──────┴────────┴────────┴────────┴───────────┘
/// ```
final class RequestHeader {
  private static final int REPLY_HEADER_BYTES_MAX = Nbd.EXTENDED_REPLY_HEADER_BYTES + 8;

  private final boolean extended;
  private int magic;
  private int flags;
  private int command;
  private long cookie;
  private long offsetBytes;
  private long lengthBytes;

  RequestHeader(HeaderStyle style) {
    extended = style == HeaderStyle.EXTENDED;
  }

  /// Looks at the header at the reader index and consumes nothing.
  void peek(ByteBuf in) {
    int start = in.readerIndex();
    magic = in.getInt(start);
    flags = in.getUnsignedShort(start + 4);
    command = in.getUnsignedShort(start + 6);
    cookie = in.getLong(start + 8);
    offsetBytes = in.getLong(start + 16);
    lengthBytes = extended ? in.getLong(start + 24) : in.getUnsignedInt(start + 24);
  }

  /// Whether the length is that of bytes behind the header: always of a WRITE, of others by their
  /// flag in an extended header. A WRITE must have that flag there, too, but QEMU's has not (seen
  /// of 10.0), and QEMU's server takes the payload of such a one as well.
  boolean hasPayload() {
    return command == Nbd.CMD_WRITE || (extended && has(Nbd.CMD_FLAG_PAYLOAD_LEN));
  }

  /// What it counts for in the limits of bytes in flight, at most what the largest payload counts
  /// for: the data of a READ with the header of its reply, that of a WRITE. What a BLOCK_STATUS
  /// counts for depends on its contexts: [CommandBlockStatus#costBytes].
  long costBytes() {
    if (command > Nbd.CMD_WRITE) {
      return 0;
    }
    long bytesMax = WireLimits.PAYLOAD_BYTES_MAX;
    long dataBytes = lengthBytes < 0 ? bytesMax : Math.min(lengthBytes, bytesMax);
    return command == Nbd.CMD_READ ? dataBytes + REPLY_HEADER_BYTES_MAX : dataBytes;
  }

  /// The payload has told how much of the export is meant.
  void effect(long effectBytes) {
    lengthBytes = effectBytes;
  }

  int magic() {
    return magic;
  }

  int flags() {
    return flags;
  }

  /// Whether the client wants what it changes on stable storage before the reply.
  Durability durability() {
    return has(Nbd.CMD_FLAG_FUA) ? Durability.DURABLE : Durability.CACHED;
  }

  boolean has(int flag) {
    return (flags & flag) != 0;
  }

  int command() {
    return command;
  }

  long cookie() {
    return cookie;
  }

  /// Unsigned until [RequestRules] has accepted it.
  long offsetBytes() {
    return offsetBytes;
  }

  /// Of the payload or of the range in the export. Unsigned like the offset.
  long lengthBytes() {
    return lengthBytes;
  }
}
