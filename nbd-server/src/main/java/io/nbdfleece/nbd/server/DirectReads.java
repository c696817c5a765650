// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.DirectSource;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.unix.UnixChannel;
import java.util.Optional;
import java.util.OptionalInt;

/// Answers reads whose bytes the export can put into the socket by itself. Everything else is
/// [CommandRead]'s. Used on the event loop of one connection.
final class DirectReads {
  /// A shorter read is cheaper in a buffer, where it shares a system call with others.
  static final int LENGTH_BYTES_MIN = 64 << 10;

  private final CheckedExport export;
  private final HeaderStyle style;
  private final Replies replies;
  private final OptionalInt socket;

  DirectReads(
      Connection connection,
      Channel channel,
      CheckedExport export,
      HeaderStyle style,
      Replies replies) {
    this.export = export;
    this.style = style;
    this.replies = replies;
    // What is encrypted has to lie in a buffer first.
    socket =
        connection.identity().tls().isEmpty() && channel instanceof UnixChannel unix
            ? OptionalInt.of(unix.fd().intValue())
            : OptionalInt.empty();
  }

  /// Answers a read that has begun, if it can be answered so.
  ///
  /// @throws OutOfMemoryError when there is no memory for a header; nothing has been answered then
  boolean answer(CommandRead request) {
    if (request.lengthBytes < LENGTH_BYTES_MIN || socket.isEmpty()) {
      return false;
    }
    int lengthBytes = (int) request.lengthBytes;
    Optional<DirectSource> source = export.direct(request.offsetBytes, lengthBytes);
    if (source.isEmpty()) {
      return false;
    }
    ByteBuf head =
        replies.head(style.isChunked() ? style.chunkBytes() + 8 : Nbd.SIMPLE_REPLY_BYTES);
    if (style.isChunked()) {
      ReplyHeader.chunk(
          head,
          style,
          Nbd.REPLY_FLAG_DONE,
          Nbd.REPLY_OFFSET_DATA,
          request.cookie,
          request.offsetBytes,
          8 + lengthBytes);
      head.writeLong(request.offsetBytes);
    } else {
      ReplyHeader.simple(head, 0, request.cookie);
    }
    replies.direct(
        new DirectReply(
            source.orElseThrow(), socket.getAsInt(), head, request.offsetBytes, lengthBytes),
        request.costBytes);
    return true;
  }
}
