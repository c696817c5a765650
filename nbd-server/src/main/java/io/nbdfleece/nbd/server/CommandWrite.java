// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.Export.Durability;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.ByteBuffer;

/// NBD_CMD_WRITE. It is started when its payload is there whole, so a payload cut short by the end
/// of the connection never changes the disk.
final class CommandWrite extends Request {
  private final Durability durability;
  private int startIndex;
  private ByteBuf holder = Unpooled.EMPTY_BUFFER;

  CommandWrite(Transmission transmission, RequestHeader header) {
    super(transmission, header, header.costBytes());
    durability = header.durability();
  }

  /// The payload lies at the reader index of `buffer`; keeps the buffer until the completion.
  void payload(ByteBuf buffer) {
    holder = buffer.retain();
    startIndex = buffer.readerIndex();
  }

  @Override
  void start(Export export) {
    ByteBuffer data = holder.nioBuffer(startIndex, (int) lengthBytes);
    export.write(offsetBytes, data, durability, this);
  }

  @Override
  void reply(Replies replies) {
    replies.success(cookie, offsetBytes, costBytes);
  }

  @Override
  void release() {
    holder.release();
  }
}
