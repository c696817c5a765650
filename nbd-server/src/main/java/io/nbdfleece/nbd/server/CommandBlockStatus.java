// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.util.List;

/// NBD_CMD_BLOCK_STATUS. All selected contexts are answered, one chunk each, over the same range:
/// the longest that every one of them covers, never past the end of the request. The shorter answer
/// is always allowed, and a client that combines contexts need not cut them itself.
final class CommandBlockStatus extends Request implements StatusCompletion {
  private static final int DESCRIPTOR_BYTES = 8;

  private final List<String> contexts;
  private final int extentsMax;
  private List<ContextExtents> found = List.of();

  CommandBlockStatus(Transmission transmission, RequestHeader header) {
    super(transmission, header, 0);
    contexts = transmission.contexts();
    extentsMax = header.has(Nbd.CMD_FLAG_REQ_ONE) ? 1 : transmission.extentsMax();
  }

  /// The id on the wire of the context selected at that place.
  static int contextId(int index) {
    return index + 1;
  }

  @Override
  void start(Export export) {
    export.blockStatus(offsetBytes, lengthAnswered(), contexts, extentsMax, this);
  }

  private long lengthAnswered() {
    return Math.min(lengthBytes, WireLimits.STATUS_BYTES_MAX);
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
    long coveredBytes = lengthAnswered();
    if (found.size() != contexts.size()) {
      throw new NbdException(NbdError.EIO, "block status: not every context was answered");
    }
    int descriptorCount = 0;
    for (int index = 0; index < contexts.size(); index++) {
      ContextExtents answer = found.get(index);
      if (!answer.context().equals(contexts.get(index))) {
        throw new NbdException(NbdError.EIO, "block status: contexts answered out of order");
      }
      coveredBytes =
          Math.min(
              coveredBytes, ExtentList.coveredBytes(answer.extents(), coveredBytes, extentsMax));
      descriptorCount += Math.min(answer.extents().size(), extentsMax);
    }
    int chunkBytes = Nbd.STRUCTURED_REPLY_HEADER_BYTES + 4;
    int bytesMax = contexts.size() * chunkBytes + descriptorCount * DESCRIPTOR_BYTES;
    ByteBuf out = transmission.allocator().directBuffer(bytesMax, bytesMax);
    for (int index = 0; index < contexts.size(); index++) {
      int start = out.writerIndex();
      out.writerIndex(start + chunkBytes);
      ExtentList.put(out, found.get(index).extents(), coveredBytes);
      int end = out.writerIndex();
      boolean last = index == contexts.size() - 1;
      out.writerIndex(start);
      ReplyHeader.chunk(
          out,
          last ? Nbd.REPLY_FLAG_DONE : 0,
          Nbd.REPLY_BLOCK_STATUS,
          cookie,
          end - start - Nbd.STRUCTURED_REPLY_HEADER_BYTES);
      out.writeInt(contextId(index)).writerIndex(end);
    }
    replies.data(out, costBytes);
  }
}
