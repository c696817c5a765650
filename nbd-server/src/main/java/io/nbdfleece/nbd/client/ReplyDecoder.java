// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/// Turns the bytes of the transmission phase into ends of requests. Data goes from the receive
/// buffer into the caller's buffer at once; all that is ever kept here is one header or one error
/// text. Event loop only.
///
/// ```
///              ┌─▶ SIMPLE ──────────────▶ DATA ─┐
///   MAGIC ─────┤        ┌─▶ DATA_OFFSET ─▶ DATA ─┤     CHUNK or EXTENDED_CHUNK
///     ▲        └▶ CHUNK ┼─▶ HOLE ───────────────┤
///     │                 ├─▶ STATUS_ID ─▶ STATUS_EXTENT (repeated)
///     │                 └─▶ ERROR_HEAD ─▶ ERROR_TEXT ─▶ ERROR_TAIL
///     └──────────────────── whichever state ends the reply or chunk
/// ```
final class ReplyDecoder {
  /// More than an error chunk of a known type can have behind its text, to skip unknown ones.
  private static final int ERROR_TAIL_BYTES_MAX = 64;

  private static final int EXTENT_COUNT_MAX = 1 << 20;

  private enum State {
    MAGIC,
    SIMPLE,
    CHUNK,
    EXTENDED_CHUNK,
    DATA_OFFSET,
    DATA,
    HOLE,
    STATUS_ID,
    STATUS_EXTENT,
    ERROR_HEAD,
    ERROR_TEXT,
    ERROR_TAIL
  }

  private enum Last {
    YES,
    NO
  }

  private final RequestTable requests;
  private final Negotiated.Replies replies;
  private final BooleanSupplier isLive;

  /// The header being gathered. Fixed size: never grows with what a server sends.
  private final ByteBuf head =
      Unpooled.buffer(Nbd.STRING_BYTES_MAX + ERROR_TAIL_BYTES_MAX, Nbd.STRING_BYTES_MAX + 64);

  private State state = State.MAGIC;

  // The chunk under way, or the simple reply with data, which is treated like a chunk.
  private @Nullable Request request;
  private long cookie;
  private Last last = Last.NO;
  private int chunkType;
  private int remainingBytes;
  private ByteBuffer dataTarget = ByteBuffer.allocate(0);
  private int errorNumber;
  private int errorTextBytes;
  private String errorText = "";

  /// @param isLive false once the connection has ended, even in the middle of [#decode]
  ReplyDecoder(RequestTable requests, Negotiated.Replies replies, BooleanSupplier isLive) {
    this.requests = requests;
    this.replies = replies;
    this.isLive = isLive;
  }

  /// Takes all there is. Throws when the server violates the protocol; not usable after that.
  void decode(ByteBuf in) throws ProtocolViolationException {
    boolean progress = true;
    while (progress && isLive.getAsBoolean()) {
      progress =
          switch (state) {
            case MAGIC -> magic(in);
            case SIMPLE -> simple(in);
            case CHUNK -> gather(in, Nbd.STRUCTURED_REPLY_HEADER_BYTES - 4) && chunk();
            case EXTENDED_CHUNK ->
                gather(in, Nbd.EXTENDED_REPLY_HEADER_BYTES - 4) && extendedChunk();
            case DATA_OFFSET -> dataOffset(in);
            case DATA -> data(in);
            case HOLE -> hole(in);
            case STATUS_ID -> statusId(in);
            case STATUS_EXTENT -> statusExtent(in);
            case ERROR_HEAD -> errorHead(in);
            case ERROR_TEXT -> errorText(in);
            case ERROR_TAIL -> errorTail(in);
          };
    }
  }

  /// Gathers until `head` holds that many bytes; they are there, unread, when it returns true.
  private boolean gather(ByteBuf in, int byteCount) {
    head.writeBytes(in, Math.min(byteCount - head.writerIndex(), in.readableBytes()));
    return head.writerIndex() == byteCount;
  }

  private boolean next(State following) {
    head.clear();
    state = following;
    return true;
  }

  private boolean magic(ByteBuf in) throws ProtocolViolationException {
    if (!gather(in, 4)) {
      return false;
    }
    int magic = head.getInt(0);
    boolean extended = replies == Negotiated.Replies.EXTENDED;
    if (magic == Nbd.SIMPLE_REPLY_MAGIC && !extended) {
      return next(State.SIMPLE);
    }
    if (magic == Nbd.STRUCTURED_REPLY_MAGIC && replies == Negotiated.Replies.STRUCTURED) {
      return next(State.CHUNK);
    }
    if (magic == Nbd.EXTENDED_REPLY_MAGIC && extended) {
      return next(State.EXTENDED_CHUNK);
    }
    throw new ProtocolViolationException(
        "0x" + Integer.toHexString(magic) + " (expected: magic of a reply)");
  }

  private boolean simple(ByteBuf in) throws ProtocolViolationException {
    if (!gather(in, Nbd.SIMPLE_REPLY_BYTES - 4)) {
      return false;
    }
    int error = head.readInt();
    cookie = head.readLong();
    Request answered = requests.find(cookie);
    request = answered;
    last = Last.YES;
    if (error != 0) {
      // Allowed where a chunk is due too: servers report early failures this way.
      answered.serverFailed(serverError(answered, error, ""));
      return end();
    }
    if (answered instanceof Request.Status
        || (answered instanceof Request.Read && replies != Negotiated.Replies.SIMPLE)) {
      throw new ProtocolViolationException(
          "a simple reply without error (expected: chunks), request: " + answered);
    }
    if (answered instanceof Request.Read read) {
      return startData(read, read.offsetBytes, read.lengthBytes);
    }
    return end();
  }

  private boolean chunk() throws ProtocolViolationException {
    int flags = head.readUnsignedShort();
    chunkType = head.readUnsignedShort();
    cookie = head.readLong();
    long length = head.readUnsignedInt();
    return chunk(requests.find(cookie), flags, length);
  }

  private boolean extendedChunk() throws ProtocolViolationException {
    int flags = head.readUnsignedShort();
    chunkType = head.readUnsignedShort();
    cookie = head.readLong();
    long offset = head.readLong();
    long length = head.readLong();
    Request answered = requests.find(cookie);
    if (offset != answered.offsetBytes || length < 0) {
      throw new ProtocolViolationException(
          "a chunk with offset="
              + Long.toUnsignedString(offset)
              + " length="
              + Long.toUnsignedString(length)
              + " (expected: the offset of the request, length < 2^63), request: "
              + answered);
    }
    return chunk(answered, flags, length);
  }

  /// A header has come, of whichever kind; `length` is not negative.
  private boolean chunk(Request answered, int flags, long length)
      throws ProtocolViolationException {
    request = answered;
    answered.countChunk();
    last = flags == Nbd.REPLY_FLAG_DONE ? Last.YES : Last.NO;
    if ((flags & ~Nbd.REPLY_FLAG_DONE) != 0) {
      throw badChunk("flags 0x" + Integer.toHexString(flags), length);
    }
    return switch (chunkType) {
      case Nbd.REPLY_NONE -> {
        require(length == 0 && last == Last.YES, "an empty last chunk", length);
        yield end();
      }
      case Nbd.REPLY_OFFSET_DATA -> {
        require(answered instanceof Request.Read, "no data", length);
        require(length > 8 && length - 8 <= answered.lengthBytes, "1 byte to all of it", length);
        remainingBytes = (int) length - 8;
        yield next(State.DATA_OFFSET);
      }
      case Nbd.REPLY_OFFSET_HOLE -> {
        require(answered instanceof Request.Read, "no hole", length);
        require(length == 12, "length 12", length);
        yield next(State.HOLE);
      }
      case Nbd.REPLY_BLOCK_STATUS -> {
        require(answered instanceof Request.Status, "no block status", length);
        require(length >= 12 && (length - 4) % 8 == 0, "length 4 + 8 n", length);
        require((length - 4) / 8 <= EXTENT_COUNT_MAX, "at most 2^20 extents", length);
        require(replies != Negotiated.Replies.EXTENDED, "extents of 64 bits", length);
        remainingBytes = (int) length - 4;
        yield next(State.STATUS_ID);
      }
      case Nbd.REPLY_BLOCK_STATUS_EXT -> {
        require(answered instanceof Request.Status, "no block status", length);
        require(replies == Negotiated.Replies.EXTENDED, "extents of 32 bits", length);
        require(length >= 24 && (length - 8) % 16 == 0, "length 8 + 16 n", length);
        require((length - 8) / 16 <= EXTENT_COUNT_MAX, "at most 2^20 extents", length);
        remainingBytes = (int) length - 8;
        yield next(State.STATUS_ID);
      }
      default -> {
        require((chunkType & 1 << 15) != 0, "a known type", length);
        require(
            length >= 6 && length <= 6 + Nbd.STRING_BYTES_MAX + ERROR_TAIL_BYTES_MAX,
            "an error with a text of at most 4096 bytes",
            length);
        remainingBytes = (int) length - 6;
        yield next(State.ERROR_HEAD);
      }
    };
  }

  private boolean dataOffset(ByteBuf in) throws ProtocolViolationException {
    return gather(in, 8) && startData((Request.Read) current(), head.readLong(), remainingBytes);
  }

  private boolean startData(Request.Read read, long offsetBytes, long lengthBytes)
      throws ProtocolViolationException {
    int start = read.claim(offsetBytes, lengthBytes);
    remainingBytes = (int) lengthBytes;
    dataTarget = read.target.duplicate().limit(start + remainingBytes).position(start);
    return next(State.DATA);
  }

  private boolean data(ByteBuf in) throws ProtocolViolationException {
    int length = Math.min(remainingBytes, in.readableBytes());
    dataTarget.limit(dataTarget.position() + length);
    in.readBytes(dataTarget);
    remainingBytes -= length;
    return remainingBytes == 0 && end();
  }

  private boolean hole(ByteBuf in) throws ProtocolViolationException {
    if (!gather(in, 12)) {
      return false;
    }
    Request.Read read = (Request.Read) current();
    long offsetBytes = head.readLong();
    long lengthBytes = head.readUnsignedInt();
    int start = read.claim(offsetBytes, lengthBytes);
    MemorySegment.ofBuffer(read.target.slice(start, (int) lengthBytes)).fill((byte) 0);
    return end();
  }

  private boolean statusId(ByteBuf in) throws ProtocolViolationException {
    boolean extended = chunkType == Nbd.REPLY_BLOCK_STATUS_EXT;
    if (!gather(in, extended ? 8 : 4)) {
      return false;
    }
    ((Request.Status) current()).startContext(head.readInt());
    if (extended && head.readUnsignedInt() * 16 != remainingBytes) {
      throw badChunk("(expected: the number of extents that it announces)", remainingBytes + 8L);
    }
    return next(State.STATUS_EXTENT);
  }

  private boolean statusExtent(ByteBuf in) throws ProtocolViolationException {
    boolean extended = chunkType == Nbd.REPLY_BLOCK_STATUS_EXT;
    int extentBytes = extended ? 16 : 8;
    if (!gather(in, extentBytes)) {
      return false;
    }
    long length = extended ? head.readLong() : head.readUnsignedInt();
    long flags = extended ? head.readLong() : head.readUnsignedInt();
    ((Request.Status) current()).addExtent(length, flags);
    remainingBytes -= extentBytes;
    return remainingBytes == 0 ? end() : next(State.STATUS_EXTENT);
  }

  private boolean errorHead(ByteBuf in) throws ProtocolViolationException {
    if (!gather(in, 6)) {
      return false;
    }
    errorNumber = head.readInt();
    errorTextBytes = head.readUnsignedShort();
    int tailBytes = remainingBytes - errorTextBytes;
    boolean tailRight =
        switch (chunkType) {
          case Nbd.REPLY_ERROR -> tailBytes == 0;
          case Nbd.REPLY_ERROR_OFFSET -> tailBytes == 8;
          default -> tailBytes >= 0 && tailBytes <= ERROR_TAIL_BYTES_MAX;
        };
    if (errorNumber == 0 || !tailRight || errorTextBytes > Nbd.STRING_BYTES_MAX) {
      throw new ProtocolViolationException(
          "an error chunk with error="
              + errorNumber
              + " text of "
              + errorTextBytes
              + " bytes, length="
              + (remainingBytes + 6)
              + ", request: "
              + current());
    }
    remainingBytes = tailBytes;
    return next(State.ERROR_TEXT);
  }

  private boolean errorText(ByteBuf in) {
    if (!gather(in, errorTextBytes)) {
      return false;
    }
    byte[] text = new byte[errorTextBytes];
    head.readBytes(text);
    errorText = ServerText.forPeople(text);
    return next(State.ERROR_TAIL);
  }

  private boolean errorTail(ByteBuf in) throws ProtocolViolationException {
    if (!gather(in, remainingBytes)) {
      return false;
    }
    Request failed = current();
    String text = errorText;
    if (chunkType == Nbd.REPLY_ERROR_OFFSET) {
      long offsetBytes = head.readLong();
      long distance = offsetBytes - failed.offsetBytes;
      if (offsetBytes < failed.offsetBytes || distance >= failed.lengthBytes) {
        throw new ProtocolViolationException(
            "an error at offset "
                + Long.toUnsignedString(offsetBytes)
                + ", outside of the request: "
                + failed);
      }
      text = (text.isEmpty() ? "" : text + ", ") + "at offset " + offsetBytes;
    }
    failed.serverFailed(serverError(failed, errorNumber, text));
    return end();
  }

  /// The chunk is complete; with it the request, if it was the last one.
  private boolean end() throws ProtocolViolationException {
    Request ended = current();
    request = null;
    dataTarget = ByteBuffer.allocate(0);
    if (last == Last.YES) {
      requests.end(cookie, ended);
    }
    return next(State.MAGIC);
  }

  private Request current() {
    if (request == null) {
      throw new IllegalStateException("state " + state + " without a request");
    }
    return request;
  }

  private static NbdException serverError(Request request, int number, String text) {
    NbdError error = NbdError.ofNumber(number);
    String name =
        error.number() == number ? error.name() : "error " + Integer.toUnsignedString(number);
    return new NbdException(
        error, request + ": the server answered " + name + (text.isEmpty() ? "" : ": " + text));
  }

  private void require(boolean condition, String expected, long lengthBytes)
      throws ProtocolViolationException {
    if (!condition) {
      throw badChunk("(expected: " + expected + ")", lengthBytes);
    }
  }

  private ProtocolViolationException badChunk(String what, long lengthBytes) {
    return new ProtocolViolationException(
        "a chunk of type "
            + chunkType
            + " length="
            + lengthBytes
            + " "
            + what
            + ", request: "
            + current());
  }
}
