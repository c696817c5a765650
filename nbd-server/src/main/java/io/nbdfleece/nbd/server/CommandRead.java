// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.netty.buffer.ByteBuf;

/// NBD_CMD_READ. One buffer holds the header of the reply and the data behind it, which the export
/// fills in place. Always one content chunk, so NBD_CMD_FLAG_DF asks for nothing more; and it is
/// sent only when all of it has been read, so no error can come behind it.
final class CommandRead extends Request {
  private static final int CHUNK_HEADER_BYTES = Nbd.STRUCTURED_REPLY_HEADER_BYTES + 8;

  private final int headerBytes;
  private final ByteBuf buffer;
  private boolean handedOver;

  /// @throws OutOfMemoryError when there is no memory for the data
  CommandRead(Transmission transmission, RequestHeader header) {
    super(transmission, header, CHUNK_HEADER_BYTES + header.lengthBytes());
    headerBytes = transmission.isStructured() ? CHUNK_HEADER_BYTES : Nbd.SIMPLE_REPLY_BYTES;
    int bytes = headerBytes + (int) lengthBytes;
    buffer = transmission.allocator().directBuffer(bytes, bytes);
  }

  @Override
  void start(Export export) {
    export.read(offsetBytes, buffer.nioBuffer(headerBytes, (int) lengthBytes), this);
  }

  @Override
  void reply(Replies replies) {
    handedOver = true;
    if (headerBytes == CHUNK_HEADER_BYTES) {
      int bytes = 8 + (int) lengthBytes;
      ReplyHeader.chunk(buffer, Nbd.REPLY_FLAG_DONE, Nbd.REPLY_OFFSET_DATA, cookie, bytes);
      buffer.writeLong(offsetBytes);
    } else {
      ReplyHeader.simple(buffer, 0, cookie);
    }
    replies.data(buffer.writerIndex(buffer.capacity()), costBytes);
  }

  @Override
  void release() {
    if (!handedOver) {
      buffer.release();
    }
  }
}
