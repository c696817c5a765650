// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.wire.HeaderStyle;
import io.nbdfleece.nbd.wire.Nbd;
import io.nbdfleece.nbd.wire.ReplyHeader;
import io.nbdfleece.nbd.wire.WireText;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.util.ReferenceCounted;
import java.lang.System.Logger.Level;
import org.jspecify.annotations.Nullable;

/// The way out of one connection, and the account of what is in flight: a request counts from its
/// header until its reply is in the socket. Used on the event loop only.
///
/// Replies without data are gathered in one buffer. What a flush has put into the socket at once,
/// the normal case, is settled at once; only when the socket is full, a mark behind the replies
/// tells when they have left. On an encrypted connection there always is a mark: what lies between
/// here and the socket may keep replies back, and a mark stays behind them.
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
  private static final byte[] NO_TEXT = {};

  private final Connection connection;
  private final ChannelHandlerContext ctx;
  private final HeaderStyle style;
  private final int countMax;
  private final long bytesMax;
  private final FlightShare share;
  private final StallWatch stallWatch;
  private final boolean encrypted;
  private final Runnable room;
  private int marksPending;
  private int inFlightCount;
  private long inFlightBytes;
  private int unflushedCount;
  private long unflushedBytes;
  private long handedOverBytes;
  private @Nullable ByteBuf small;

  /// @param room is run when the socket has taken what it had no room for
  Replies(Connection connection, ChannelHandlerContext ctx, HeaderStyle style, Runnable room) {
    this.connection = connection;
    this.room = room;
    this.ctx = ctx;
    this.style = style;
    ServerLimits limits = connection.server().limits();
    countMax = limits.requestsInFlightMax();
    bytesMax = limits.bytesInFlightMax();
    share =
        new FlightShare(connection, connection.server().flightBudget(), limits.connectionsMax());
    stallWatch = new StallWatch(connection, this, limits.stalledReaderDeadline());
    encrypted = connection.identity().tls().isPresent();
  }

  /// Whether one more request of that cost may be begun. If not, the connection goes on when it
  /// may.
  boolean admitsOrAwaitsRoom(long costBytes) {
    if (admits(costBytes)) {
      return true;
    }
    flush();
    if (admits(costBytes)) {
      return true;
    }
    if (isWithinOwn(costBytes)) {
      // What it has in flight itself wakes it in any case; this is for what others have.
      share.await(costBytes);
    }
    return false;
  }

  private boolean admits(long costBytes) {
    return isWithinOwn(costBytes) && share.admits(inFlightBytes + costBytes);
  }

  private boolean isWithinOwn(long costBytes) {
    return inFlightCount == 0
        || (inFlightCount < countMax && inFlightBytes + costBytes <= bytesMax);
  }

  /// Whether a request that is in flight and counts for `costBytes` may have a reply of so many
  /// bytes.
  boolean admitsReply(long replyBytes, long costBytes) {
    long wantedBytes = inFlightBytes - costBytes + replyBytes;
    return replyBytes <= costBytes
        || ((inFlightCount == 1 || wantedBytes <= bytesMax) && share.admits(wantedBytes));
  }

  /// The request that has been admitted takes none of the memory that was meant for it.
  void keepNothing() {
    share.shrink(inFlightBytes);
  }

  /// What is in flight, with what the records of encryption and the messages of the channel add.
  long bytesInFlight() {
    return inFlightBytes
        + inFlightBytes / 16
        + (long) inFlightCount * WireLimits.REPLY_OVERHEAD_BYTES_MAX;
  }

  /// Whether it takes memory that others could have.
  boolean holdsCountedBytes() {
    return share.holdsCountedBytes();
  }

  /// Whether others wait, and this connection has some of what they wait for.
  boolean holdsWhatOthersAwait() {
    return share.holdsWhatOthersAwait();
  }

  void begin(long costBytes) {
    inFlightCount++;
    inFlightBytes += costBytes;
    share.begun(inFlightBytes);
  }

  /// There will be no reply.
  void forget(long costBytes) {
    sent(1, costBytes);
  }

  /// Success without data.
  void success(long cookie, long offsetBytes, long costBytes) {
    if (style == HeaderStyle.EXTENDED) {
      empty(cookie, offsetBytes, costBytes);
    } else {
      ReplyHeader.simple(small(Nbd.SIMPLE_REPLY_BYTES), 0, cookie);
      ready(Nbd.SIMPLE_REPLY_BYTES, costBytes);
    }
  }

  /// Success of a command that has to be answered in chunks, without content.
  void empty(long cookie, long offsetBytes, long costBytes) {
    if (style.isChunked()) {
      ReplyHeader.doneChunk(small(style.chunkBytes()), style, cookie, offsetBytes);
      ready(style.chunkBytes(), costBytes);
    } else {
      success(cookie, offsetBytes, costBytes);
    }
  }

  void failure(long cookie, long offsetBytes, NbdError error, String text, long costBytes) {
    if (style.isChunked()) {
      byte[] bytes = WireText.bytes(text);
      int replyBytes = style.chunkBytes() + 6 + bytes.length;
      if (!admitsReply(replyBytes, costBytes)) {
        bytes = NO_TEXT;
        replyBytes = style.chunkBytes() + 6;
      }
      ReplyHeader.errorChunk(small(replyBytes), style, error.number(), cookie, offsetBytes, bytes);
      ready(replyBytes, costBytes);
    } else {
      ReplyHeader.simple(small(Nbd.SIMPLE_REPLY_BYTES), error.number(), cookie);
      ready(Nbd.SIMPLE_REPLY_BYTES, costBytes);
    }
  }

  /// The whole answer to a read of nothing but zeroes.
  void hole(long cookie, long offsetBytes, int holeBytes, long costBytes) {
    int replyBytes = ReplyHeader.holeBytes(style);
    ReplyHeader.holeChunk(
        small(replyBytes), style, Nbd.REPLY_FLAG_DONE, cookie, offsetBytes, offsetBytes, holeBytes);
    ready(replyBytes, costBytes);
  }

  /// Chunks of a reply whose other ones follow; takes over the buffer.
  void part(ByteBuf chunks) {
    write(chunks);
  }

  /// A whole reply, or the rest of one; takes over the buffer.
  ///
  /// @param heldBytes memory that is in use until it has left
  void data(ByteBuf reply, int heldBytes, long costBytes) {
    write(reply);
    ready(heldBytes, costBytes);
  }

  /// For the header of a reply whose data lies elsewhere.
  ByteBuf head(int bytes) {
    return ctx.alloc().directBuffer(bytes, bytes);
  }

  /// A whole reply whose data is not in our memory. Takes over the message.
  void direct(DirectReply reply, long costBytes) {
    write(reply);
    ready(0, costBytes);
    flush();
  }

  private void ready(long replyBytes, long costBytes) {
    inFlightBytes += replyBytes - costBytes;
    if (replyBytes > costBytes) {
      share.grow(inFlightBytes);
    }
    unflushedCount++;
    unflushedBytes += replyBytes;
    if (unflushedBytes >= WireLimits.UNFLUSHED_BYTES_MAX) {
      flush();
    }
  }

  private ByteBuf small(int bytes) {
    ByteBuf current = small;
    if (current != null && current.writableBytes() < bytes) {
      small = null; // also when there is no memory for the next one
      write(current);
      current = null;
    }
    if (current == null) {
      current = ctx.alloc().directBuffer(Math.max(SMALL_BYTES, bytes));
      small = current;
    }
    return current;
  }

  private void write(ReferenceCounted message) {
    handedOverBytes +=
        message instanceof ByteBuf bytes ? bytes.readableBytes() : ((DirectReply) message).count();
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
    int count = unflushedCount;
    long bytes = unflushedBytes;
    unflushedCount = 0;
    unflushedBytes = 0;
    // From here on there may be new ones: room in the socket has more reads started.
    ByteBuf current = small;
    if (current != null) {
      small = null;
      write(current);
    }
    if (encrypted) {
      // Before the flush, so that it shares a record with the replies.
      ChannelFuture mark = ctx.write(Unpooled.EMPTY_BUFFER);
      ctx.flush();
      settleAt(mark, count, bytes);
      return;
    }
    ctx.flush();
    ChannelOutboundBuffer outbound = ctx.channel().unsafe().outboundBuffer();
    if (outbound == null || outbound.isEmpty()) {
      sent(count, bytes);
    } else {
      settleAt(ctx.writeAndFlush(Unpooled.EMPTY_BUFFER), count, bytes);
    }
  }

  private void settleAt(ChannelFuture mark, int count, long bytes) {
    if (mark.isDone()) {
      sent(count, bytes);
      return;
    }
    marksPending++;
    mark.addListener(
        left -> {
          marksPending--;
          sent(count, bytes);
          if (left.isSuccess()) {
            room.run();
            connection.goOn();
          }
        });
    stallWatch.start();
  }

  /// What the socket has taken so far, without what comes between here and there.
  long takenBytes(ChannelOutboundBuffer outbound) {
    return handedOverBytes - outbound.totalPendingWriteBytes() + outbound.currentProgress();
  }

  /// Whether replies that have been flushed have not all left.
  boolean awaitsMark() {
    return marksPending > 0;
  }

  private void sent(int count, long bytes) {
    inFlightCount -= count;
    inFlightBytes -= bytes;
    share.shrink(inFlightBytes);
  }

  /// The last request of a connection that is gone has been completed.
  void end() {
    share.close();
  }

  /// The connection is gone.
  void release() {
    share.stopWaiting();
    ByteBuf current = small;
    small = null;
    if (current != null) {
      current.release();
    }
  }
}
