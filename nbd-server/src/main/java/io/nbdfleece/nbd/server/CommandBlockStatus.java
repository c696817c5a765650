// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.util.List;

/// NBD_CMD_BLOCK_STATUS. All contexts asked for are answered, one chunk each, over the same range:
/// the longest that every one of them covers, never past the end of the request. The shorter answer
/// is always allowed, and a client that combines contexts need not cut them itself. When memory is
/// short, the answer is.
///
/// With extended headers a range may have any length and the descriptors have 64 bits; otherwise
/// [WireLimits#STATUS_BYTES_MAX] bytes are answered at most.
final class CommandBlockStatus extends Request implements StatusCompletion {
  private final ContextSelection contexts;
  private final HeaderStyle style;
  private final int extentsMax;
  private final long answeredBytes;
  private List<ContextExtents> found = List.of();

  CommandBlockStatus(Transmission transmission, RequestHeader header, ContextSelection contexts) {
    super(transmission, header, costBytes(transmission.style(), contexts));
    this.contexts = contexts;
    style = transmission.style();
    extentsMax = header.has(Nbd.CMD_FLAG_REQ_ONE) ? 1 : transmission.extentsMax();
    answeredBytes =
        style == HeaderStyle.EXTENDED
            ? lengthBytes
            : Math.min(lengthBytes, WireLimits.STATUS_BYTES_MAX);
  }

  /// What a short answer weighs at most. That counts from the beginning; what a longer one weighs
  /// beyond that has to find room when it is there, see [Replies#admitsReply].
  static int costBytes(HeaderStyle style, ContextSelection contexts) {
    return contexts.names().size()
        * (style.chunkBytes()
            + ExtentList.headBytes(style)
            + WireLimits.SHORT_EXTENTS_MAX * ExtentList.descriptorBytes(style));
  }

  @Override
  void start(Export export) {
    export.blockStatus(offsetBytes, answeredBytes, contexts.names(), extentsMax, this);
  }

  @Override
  public void succeeded(List<ContextExtents> statuses) {
    if (mayComplete()) {
      found = statuses;
      transmission.completed(this);
    }
  }

  @Override
  void reply(Replies replies) throws IOException {
    int count = contexts.names().size();
    if (found.size() != count) {
      throw new NbdException(NbdError.EIO, "block status: not every context was answered");
    }
    ExtentList[] lists = new ExtentList[count];
    int descriptorCount = 0;
    for (int index = 0; index < count; index++) {
      ContextExtents answer = found.get(index);
      if (!answer.context().equals(contexts.names().get(index))) {
        throw new NbdException(NbdError.EIO, "block status: contexts answered out of order");
      }
      lists[index] = new ExtentList(answer, style);
      descriptorCount += Math.min(answer.extents().size(), extentsMax);
    }
    int limit = extentsMax;
    if (!replies.admitsReply(bytesMax(descriptorCount), costBytes)) {
      limit = Math.min(limit, WireLimits.SHORT_EXTENTS_MAX);
      descriptorCount = Math.min(descriptorCount, limit * count);
    }
    long coveredBytes = answeredBytes;
    for (ExtentList list : lists) {
      coveredBytes = list.coveredBytes(coveredBytes, limit);
    }
    int bytesMax = bytesMax(descriptorCount);
    ByteBuf out = buffer(bytesMax);
    try {
      for (int index = 0; index < count; index++) {
        put(out, lists[index], coveredBytes, index);
      }
    } catch (RuntimeException badAnswer) {
      out.release();
      throw badAnswer;
    }
    replies.data(out, out.readableBytes(), costBytes);
  }

  private ByteBuf buffer(int bytes) throws IOException {
    try {
      return transmission.allocator().directBuffer(bytes, bytes);
    } catch (OutOfMemoryError noBuffer) {
      throw new NbdException(NbdError.ENOMEM, "block status: no memory for the reply", noBuffer);
    }
  }

  private int bytesMax(int descriptorCount) {
    return contexts.names().size() * (style.chunkBytes() + ExtentList.headBytes(style))
        + descriptorCount * ExtentList.descriptorBytes(style);
  }

  private void put(ByteBuf out, ExtentList list, long coveredBytes, int index) {
    int start = out.writerIndex();
    int dataStart = start + style.chunkBytes();
    out.writerIndex(dataStart);
    list.put(out, contexts.ids().get(index), coveredBytes);
    int end = out.writerIndex();
    out.writerIndex(start);
    ReplyHeader.chunk(
        out,
        style,
        index == contexts.names().size() - 1 ? Nbd.REPLY_FLAG_DONE : 0,
        style == HeaderStyle.EXTENDED ? Nbd.REPLY_BLOCK_STATUS_EXT : Nbd.REPLY_BLOCK_STATUS,
        cookie,
        offsetBytes,
        end - dataStart);
    out.writerIndex(end);
  }
}
