// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.buffer.ByteBuf;

/// The fields of the request being parsed (NBD specification, "Request message"). One object per
/// connection, filled again for each request, so that parsing allocates nothing.
///
/// ```
///   0        4       6      8        16       24       28
///   ┌────────┬───────┬──────┬────────┬────────┬────────┬───────────┐
///   │ magic  │ flags │ type │ cookie │ offset │ length │ payload … │
///   └────────┴───────┴──────┴────────┴────────┴────────┴───────────┘
/// ```
final class RequestHeader {
  private int magic;
  private int flags;
  private int command;
  private long cookie;
  private long offsetBytes;
  private long lengthBytes;

  /// Looks at the header at the reader index and consumes nothing.
  void peek(ByteBuf in) {
    int start = in.readerIndex();
    magic = in.getInt(start);
    flags = in.getUnsignedShort(start + 4);
    command = in.getUnsignedShort(start + 6);
    cookie = in.getLong(start + 8);
    offsetBytes = in.getLong(start + 16);
    lengthBytes = in.getUnsignedInt(start + 24);
  }

  int magic() {
    return magic;
  }

  int flags() {
    return flags;
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

  long lengthBytes() {
    return lengthBytes;
  }
}
