// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// A connection as blocking input and output, for the handshake, whose steps follow one another.
/// The event loop puts what arrives into a queue, the thread that connects takes it out and asks
/// the socket for more only when the queue is empty, so a server cannot fill the memory.
///
/// The methods without `channel` in their contract belong to the connecting thread.
final class HandshakeStream extends ChannelInboundHandlerAdapter {
  private final LinkedBlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();
  private final Channel channel;
  private final long deadlineNanos;
  private final long deadlineSeconds;
  private ByteBuf current = Unpooled.EMPTY_BUFFER;
  private long receivedBytes;
  private volatile boolean closed;

  private sealed interface Arrival {
    record Bytes(ByteBuf bytes) implements Arrival {}

    record End(@Nullable Throwable cause) implements Arrival {}
  }

  HandshakeStream(Channel channel, long deadlineSeconds) {
    this.channel = channel;
    this.deadlineSeconds = deadlineSeconds;
    this.deadlineNanos = System.nanoTime() + TimeUnit.SECONDS.toNanos(deadlineSeconds);
  }

  /// Takes exactly that many bytes. Throws when the server closes or the deadline passes first.
  ByteBuffer read(int byteCount) throws IOException {
    byte[] bytes = new byte[byteCount];
    int filled = 0;
    while (filled < byteCount) {
      if (!current.isReadable()) {
        current.release();
        current = Unpooled.EMPTY_BUFFER;
        current = next();
      }
      int length = Math.min(byteCount - filled, current.readableBytes());
      current.readBytes(bytes, filled, length);
      filled += length;
      receivedBytes += length;
    }
    return ByteBuffer.wrap(bytes);
  }

  Channel channel() {
    return channel;
  }

  /// How many bytes [#read] has given out.
  long receivedBytes() {
    return receivedBytes;
  }

  private ByteBuf next() throws IOException {
    Arrival arrival = arrivals.poll();
    if (arrival == null) {
      channel.read();
      try {
        arrival = arrivals.poll(deadlineNanos - System.nanoTime(), TimeUnit.NANOSECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        InterruptedIOException interrupted = new InterruptedIOException("interrupted");
        interrupted.initCause(e);
        throw interrupted;
      }
    }
    return switch (arrival) {
      case null -> throw new HandshakeTimeoutException(deadlineSeconds);
      case Arrival.Bytes(ByteBuf bytes) -> bytes;
      case Arrival.End end -> {
        arrivals.add(end);
        throw new HandshakeEndedException(end.cause());
      }
    };
  }

  /// Sends. Failures show at the next [#read].
  void write(ByteBuffer bytes) {
    var _ = channel.writeAndFlush(Unpooled.wrappedBuffer(bytes), channel.voidPromise());
  }

  /// Ends the handshake: from now on `successor` gets what arrives, and what has arrived already.
  void handOver(ChannelHandler successor) throws IOException {
    var replaced =
        channel
            .eventLoop()
            .submit(
                () -> {
                  if (channel.pipeline().context(this) == null) {
                    throw new HandshakeEndedException(null);
                  }
                  channel.pipeline().replace(this, null, successor);
                  if (current.isReadable()) {
                    channel.pipeline().fireChannelRead(current.retain());
                  }
                  for (Arrival a = arrivals.poll(); a != null; a = arrivals.poll()) {
                    if (a instanceof Arrival.Bytes(ByteBuf bytes)) {
                      channel.pipeline().fireChannelRead(bytes);
                    }
                  }
                  channel.config().setAutoRead(true);
                  return channel;
                })
            .awaitUninterruptibly();
    if (!replaced.isSuccess()) {
      throw replaced.cause() instanceof IOException ended
          ? ended
          : new IOException("the client's event loop was closed", replaced.cause());
    }
    release();
  }

  /// Closes the socket after a failed or finished handshake.
  void close() {
    closed = true;
    var _ = channel.close();
    release();
  }

  private void release() {
    current.release();
    current = Unpooled.EMPTY_BUFFER;
    for (Arrival a = arrivals.poll(); a != null; a = arrivals.poll()) {
      if (a instanceof Arrival.Bytes(ByteBuf bytes)) {
        bytes.release();
      }
    }
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    if (closed) {
      ReferenceCountUtil.release(message);
    } else {
      arrivals.add(new Arrival.Bytes((ByteBuf) message));
      if (closed) {
        release();
      }
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    arrivals.add(new Arrival.End(null));
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    arrivals.add(new Arrival.End(cause));
    var _ = ctx.close();
  }

  /// The server closed the connection, or it broke, before it had sent what was awaited.
  static final class HandshakeEndedException extends IOException {
    private static final long serialVersionUID = 1;

    private HandshakeEndedException(@Nullable Throwable cause) {
      super(
          cause == null
              ? "the server closed the connection during the handshake"
              : "the connection broke during the handshake: " + cause.getMessage(),
          cause);
    }
  }

  /// The server let the time for the handshake pass.
  static final class HandshakeTimeoutException extends IOException {
    private static final long serialVersionUID = 1;

    private HandshakeTimeoutException(long deadlineSeconds) {
      super("no answer within " + deadlineSeconds + " s");
    }
  }
}
