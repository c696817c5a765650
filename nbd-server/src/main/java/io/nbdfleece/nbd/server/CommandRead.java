// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;

/// NBD_CMD_READ. One buffer holds the header of the reply and the data behind it, which the export
/// fills in place. The reply is sent only when all of it has been read, so no error can come behind
/// a chunk.
///
/// Without NBD_CMD_FLAG_DF long runs of zeroes go as NBD_REPLY_TYPE_OFFSET_HOLE. No data moves for
/// that: the headers of the chunks around a hole are put where its zeroes are, and what is sent are
/// slices of the one buffer.
///
/// ```
///   ┌────────┬────────┬──────────────────────────┬────────┬────────────┐
///   │ data   │ data … │ hole     ···    data     │ data … │ hole  ···  │
///   │ header │        │ chunk           header   │        │ chunk      │
///   └────────┴────────┴──────────────────────────┴────────┴────────────┘
///   ╰────── first slice ──────╯      ╰──────── second slice ──────╯
/// ```
final class CommandRead extends Request {
  /// Shorter ones are not looked through: the hole would save nothing.
  private static final int LOOKED_THROUGH_BYTES_MIN = 512;

  private final HeaderStyle style;
  private final boolean wholeOnly;
  private final int headerBytes;
  private ByteBuf buffer = Unpooled.EMPTY_BUFFER;
  private boolean handedOver;

  CommandRead(Transmission transmission, RequestHeader header) {
    super(transmission, header, header.costBytes());
    style = transmission.style();
    wholeOnly = header.has(Nbd.CMD_FLAG_DF);
    headerBytes = headerBytes(style);
  }

  /// Takes the memory for the reply. To be called right before it is started: a buffer that has
  /// just been given back is still in the processor's cache.
  ///
  /// @throws OutOfMemoryError when there is none
  void allocate() {
    int bytes = headerBytes + (int) lengthBytes;
    buffer = transmission.allocator().directBuffer(bytes, bytes);
  }

  private static int headerBytes(HeaderStyle style) {
    return style.isChunked() ? style.chunkBytes() + 8 : Nbd.SIMPLE_REPLY_BYTES;
  }

  @Override
  void start(Export export) {
    export.read(offsetBytes, buffer.nioBuffer(headerBytes, (int) lengthBytes), this);
  }

  @Override
  void reply(Replies replies) {
    if (!style.isChunked()) {
      handedOver = true;
      ReplyHeader.simple(buffer, 0, cookie);
      replies.data(buffer.writerIndex(buffer.capacity()), buffer.capacity(), costBytes);
      return;
    }
    if (!wholeOnly && lengthBytes >= LOOKED_THROUGH_BYTES_MIN) {
      ZeroRuns runs = transmission.zeroRuns();
      runs.find(buffer, headerBytes, (int) lengthBytes, offsetBytes);
      if (runs.count() > 0) {
        replyWithHoles(replies, runs);
        return;
      }
    }
    handedOver = true;
    putDataHeader(0, (int) lengthBytes, true);
    replies.data(buffer.setIndex(0, buffer.capacity()), buffer.capacity(), costBytes);
  }

  private void replyWithHoles(Replies replies, ZeroRuns runs) {
    int length = (int) lengthBytes;
    if (runs.end(0) - runs.start(0) == length) {
      // Nothing of the buffer is sent, so it is free at once.
      replies.hole(cookie, offsetBytes, length, costBytes);
      return;
    }
    handedOver = true;
    int position = 0;
    int leadingHoleEnd = 0;
    int next = 0;
    if (runs.start(0) == 0) {
      position = runs.end(0);
      leadingHoleEnd = position;
      next = 1;
    }
    while (true) {
      // A slice: data, and the hole behind it if there is one.
      int dataEnd = next < runs.count() ? runs.start(next) : length;
      int holeEnd = next < runs.count() ? runs.end(next) : length;
      int sliceStart = putDataHeader(position, dataEnd, dataEnd == length);
      if (leadingHoleEnd > 0) {
        sliceStart -= ReplyHeader.holeBytes(style);
        putHole(sliceStart, 0, leadingHoleEnd, false);
        leadingHoleEnd = 0;
      }
      int sliceEnd = headerBytes + dataEnd;
      if (holeEnd > dataEnd) {
        sliceEnd = putHole(sliceEnd, dataEnd, holeEnd, holeEnd == length);
      }
      if (holeEnd == length) {
        replies.data(buffer.setIndex(sliceStart, sliceEnd), buffer.capacity(), costBytes);
        return;
      }
      replies.part(buffer.retainedSlice(sliceStart, sliceEnd - sliceStart));
      position = holeEnd;
      next++;
    }
  }

  /// Puts the header of a data chunk right before its data; returns where it begins. Places are
  /// those in the data read.
  private int putDataHeader(int start, int end, boolean last) {
    // headerBytes before the data, and the data begins headerBytes into the buffer.
    buffer.setIndex(0, start);
    ReplyHeader.chunk(
        buffer,
        style,
        last ? Nbd.REPLY_FLAG_DONE : 0,
        Nbd.REPLY_OFFSET_DATA,
        cookie,
        offsetBytes,
        8 + end - start);
    buffer.writeLong(offsetBytes + start);
    return start;
  }

  /// Puts a hole chunk at that index of the buffer; returns the index behind it.
  private int putHole(int index, int start, int end, boolean last) {
    buffer.setIndex(0, index);
    ReplyHeader.holeChunk(
        buffer,
        style,
        last ? Nbd.REPLY_FLAG_DONE : 0,
        cookie,
        offsetBytes,
        offsetBytes + start,
        end - start);
    return buffer.writerIndex();
  }

  @Override
  NbdError visible(NbdError error) {
    // The one error that says: ask for less, or without NBD_CMD_FLAG_DF.
    return error == NbdError.EOVERFLOW && wholeOnly ? error : super.visible(error);
  }

  @Override
  void release() {
    if (!handedOver) {
      buffer.release();
    }
  }
}
