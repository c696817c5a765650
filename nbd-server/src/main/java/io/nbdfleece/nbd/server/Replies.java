// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.nbdfleece.nbd.wire.WireText;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundBuffer;
import java.lang.System.Logger.Level;
import org.jspecify.annotations.Nullable;

/// The way out of one connection, and the account of what is in flight: a request counts from its
/// header until its reply is in the socket. Used on the event loop only.
///
/// Replies without data are gathered in one buffer. What a flush has put into the socket at once,
/// the normal case, is settled at once; only when the socket is full, a mark behind the replies
/// tells when they have left.
final class Replies {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.connections");

  /// A failed write closes the channel, which is where it is dealt with.
  static final ChannelFutureListener LOG_FAILURE =
      done -> {
        if (!done.isSuccess()) {
          LOG.log(Level.DEBUG, "reply not sent", done.cause());
        }
      };

  private static final int SMALL_BYTES = 1 << 10;

  private final Connection connection;
  private final ChannelHandlerContext ctx;
  private final boolean structured;
  private final int countMax;
  private final long bytesMax;
  private final StallWatch stallWatch;
  private int inFlightCount;
  private long inFlightBytes;
  private int unflushedCount;
  private long unflushedBytes;
  private @Nullable ByteBuf small;

  Replies(Connection connection, ChannelHandlerContext ctx, boolean structured) {
    this.connection = connection;
    this.ctx = ctx;
    this.structured = structured;
    ServerLimits limits = connection.server().limits();
    countMax = limits.requestsInFlightMax();
    bytesMax = limits.bytesInFlightMax();
    stallWatch = new StallWatch(connection, limits.stalledReaderDeadline());
  }

  /// Whether one more request of that cost may be begun.
  boolean admits(long costBytes) {
    return inFlightCount == 0
        || (inFlightCount < countMax && inFlightBytes + costBytes <= bytesMax);
  }

  void begin(long costBytes) {
    inFlightCount++;
    inFlightBytes += costBytes;
  }

  /// There will be no reply.
  void forget(long costBytes) {
    inFlightCount--;
    inFlightBytes -= costBytes;
  }

  /// Success without data.
  void success(long cookie, long costBytes) {
    ReplyHeader.simple(small(Nbd.SIMPLE_REPLY_BYTES), 0, cookie);
    ready(Nbd.SIMPLE_REPLY_BYTES, costBytes);
  }

  /// Success of a command that has to be answered in chunks, without content.
  void empty(long cookie, long costBytes) {
    if (structured) {
      ReplyHeader.doneChunk(small(Nbd.STRUCTURED_REPLY_HEADER_BYTES), cookie);
      ready(Nbd.STRUCTURED_REPLY_HEADER_BYTES, costBytes);
    } else {
      success(cookie, costBytes);
    }
  }

  void failure(long cookie, NbdError error, String text, long costBytes) {
    if (structured) {
      byte[] bytes = WireText.bytes(text);
      int replyBytes = Nbd.STRUCTURED_REPLY_HEADER_BYTES + 6 + bytes.length;
      ReplyHeader.errorChunk(small(replyBytes), error.number(), cookie, bytes);
      ready(replyBytes, costBytes);
    } else {
      ReplyHeader.simple(small(Nbd.SIMPLE_REPLY_BYTES), error.number(), cookie);
      ready(Nbd.SIMPLE_REPLY_BYTES, costBytes);
    }
  }

  /// A whole reply; takes over the buffer.
  void data(ByteBuf reply, long costBytes) {
    int replyBytes = reply.readableBytes();
    write(reply);
    ready(replyBytes, costBytes);
  }

  private void ready(long replyBytes, long costBytes) {
    inFlightBytes += replyBytes - costBytes;
    unflushedCount++;
    unflushedBytes += replyBytes;
    if (unflushedBytes >= WireLimits.UNFLUSHED_BYTES_MAX) {
      flush();
    }
  }

  private ByteBuf small(int bytes) {
    ByteBuf current = small;
    if (current != null && current.writableBytes() < bytes) {
      write(current);
      current = null;
    }
    if (current == null) {
      current = ctx.alloc().directBuffer(Math.max(SMALL_BYTES, bytes));
      small = current;
    }
    return current;
  }

  private void write(ByteBuf message) {
    // The void promise: no object per reply, and a failure comes as an exception of the channel.
    ChannelFuture unused = ctx.write(message, ctx.voidPromise());
    assert unused != null;
  }

  boolean hasUnflushed() {
    return unflushedCount > 0;
  }

  void flush() {
    if (unflushedCount == 0) {
      return;
    }
    ByteBuf current = small;
    if (current != null) {
      small = null;
      write(current);
    }
    ctx.flush();
    int count = unflushedCount;
    long bytes = unflushedBytes;
    unflushedCount = 0;
    unflushedBytes = 0;
    ChannelOutboundBuffer outbound = ctx.channel().unsafe().outboundBuffer();
    if (outbound == null || outbound.isEmpty()) {
      sent(count, bytes);
    } else {
      ctx.writeAndFlush(Unpooled.EMPTY_BUFFER)
          .addListener(
              left -> {
                sent(count, bytes);
                if (left.isSuccess()) {
                  connection.goOn();
                }
              });
      stallWatch.start();
    }
  }

  private void sent(int count, long bytes) {
    inFlightCount -= count;
    inFlightBytes -= bytes;
  }

  /// The connection is gone.
  void release() {
    ByteBuf current = small;
    small = null;
    if (current != null) {
      current.release();
    }
  }
}
