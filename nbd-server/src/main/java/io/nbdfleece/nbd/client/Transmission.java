// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import java.io.IOException;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// The transmission phase of one connection: sends requests, feeds replies to the decoder, fails
/// what is in flight when the connection ends.
///
/// Any thread may call [#submit], [#disconnect] and [#abort]; all else runs on the event loop.
final class Transmission extends ChannelInboundHandlerAdapter {
  /*
   * A request goes into a queue, and the first one into an empty queue makes the event loop drain
   * it. So one flush sends whatever many threads, or one callback, issued in a burst, and
   * neighbours without data share one buffer of headers. Data follows its header without being
   * copied: both leave in one gathering write.
   *
   * The end of a connection has one door, fail(): it closes the socket first, which makes Netty let
   * go of every buffer that waits to be sent, and completes futures after that. Hence a caller may
   * free a buffer as soon as its future completes, however it completes.
   */
  static final long CLOSE_SECONDS_MAX = 10;

  private static final byte[] NO_PAYLOAD = {};
  private static final int HEADERS_BYTES = 64 * Nbd.EXTENDED_REQUEST_HEADER_BYTES;

  private final Channel channel;
  private final String uri;
  private final Queue<Request> submitted = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean drainScheduled = new AtomicBoolean();
  private final RequestTable requests = new RequestTable();
  private final ReplyDecoder decoder;
  private final boolean extended;

  /// Why the connection ended. Written by the event loop.
  private volatile @Nullable IOException failure;

  private boolean closing;
  private boolean disconnectSent;

  Transmission(Channel channel, String uri, Negotiated negotiated) {
    this.channel = channel;
    this.uri = uri;
    this.extended = negotiated.isExtended();
    this.decoder = new ReplyDecoder(requests, negotiated.replies(), () -> failure == null);
  }

  /// Sends a request soon. Its future completes on the event loop, or here if the loop has ended.
  void submit(Request request) {
    submitted.add(request);
    if (drainScheduled.compareAndSet(false, true)) {
      try {
        channel.eventLoop().execute(this::drain);
      } catch (RejectedExecutionException e) {
        drainScheduled.set(false);
        failSubmitted(new IOException(uri + ": the client's event loop was closed", e));
      }
    }
  }

  private void drain() {
    drainScheduled.set(false);
    IOException ended = failure;
    if (ended == null && closing) {
      ended = new IOException(uri + ": the client was closed");
    }
    if (ended != null) {
      failSubmitted(ended);
      return;
    }
    try {
      sendSubmitted();
    } catch (RuntimeException | Error e) { // no memory, most likely
      fail("requests could not be sent: " + e, e);
    }
  }

  private void sendSubmitted() {
    ByteBuf headers = Unpooled.EMPTY_BUFFER;
    Request.Write unsent = null;
    try {
      long nowNanos = System.nanoTime();
      // When the connection ends within, the drain that is scheduled fails the rest.
      for (Request request = submitted.poll(); request != null; request = nextSubmitted()) {
        unsent = request instanceof Request.Write write ? write : null;
        // Before all else, so that it fails with the connection whatever happens here.
        long cookie = requests.add(request);
        byte[] payload = request instanceof Request.Status status ? status.payload : NO_PAYLOAD;
        if (headers.writableBytes() < Nbd.EXTENDED_REQUEST_HEADER_BYTES + payload.length) {
          ByteBuf full = headers;
          headers = Unpooled.EMPTY_BUFFER;
          write(full);
          headers = channel.alloc().directBuffer(HEADERS_BYTES, HEADERS_BYTES);
        }
        request.sentNanos = nowNanos;
        writeHeader(headers, cookie, request);
        headers.writeBytes(payload);
        if (unsent != null) {
          ByteBuf header = headers;
          headers = Unpooled.EMPTY_BUFFER;
          write(header);
          writeData(unsent);
          unsent = null;
        }
      }
      ByteBuf last = headers;
      headers = Unpooled.EMPTY_BUFFER;
      write(last);
    } finally {
      headers.release();
      if (unsent != null) {
        unsent.bufferReleased();
      }
    }
    channel.flush();
  }

  private @Nullable Request nextSubmitted() {
    return failure == null ? submitted.poll() : null;
  }

  /// When the data of a write is not sent whole, the server must not take what follows for it.
  private void writeData(Request.Write write) {
    var _ =
        channel
            .write(Unpooled.wrappedBuffer(write.data))
            .addListener(
                sent -> {
                  if (!sent.isSuccess() && channel.isOpen()) {
                    fail("a write could not be sent: " + sent.cause(), sent.cause());
                  }
                  write.bufferReleased();
                });
  }

  private void write(ByteBuf headers) {
    if (headers.isReadable()) {
      var _ = channel.write(headers, channel.voidPromise());
    } else {
      headers.release();
    }
  }

  private void writeHeader(ByteBuf headers, long cookie, Request request) {
    if (!extended) {
      headers
          .writeInt(Nbd.REQUEST_MAGIC)
          .writeShort(request.flags)
          .writeShort(request.command)
          .writeLong(cookie)
          .writeLong(request.offsetBytes)
          .writeInt((int) request.lengthBytes);
      return;
    }
    boolean hasData = request instanceof Request.Write;
    boolean hasPayload = request instanceof Request.Status status && status.payload.length > 0;
    headers
        .writeInt(Nbd.EXTENDED_REQUEST_MAGIC)
        .writeShort(request.flags | (hasData ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0))
        .writeShort(request.command)
        .writeLong(cookie)
        .writeLong(request.offsetBytes)
        .writeLong(hasPayload ? ((Request.Status) request).payload.length : request.lengthBytes);
  }

  private void failSubmitted(IOException cause) {
    for (Request request = submitted.poll(); request != null; request = submitted.poll()) {
      request.fail(copyOf(cause));
      if (request instanceof Request.Write write) {
        write.bufferReleased();
      }
    }
  }

  /// Waits until all that was submitted is answered, at most [#CLOSE_SECONDS_MAX], sends
  /// NBD_CMD_DISC and closes. Only then, because big peers drop replies that they owe when they see
  /// NBD_CMD_DISC. What is submitted from now on fails.
  void disconnect() {
    onLoop(
        () -> {
          if (failure != null || closing) {
            return;
          }
          drain();
          closing = true;
          var timer =
              channel
                  .eventLoop()
                  .schedule(
                      () -> fail("no replies within " + CLOSE_SECONDS_MAX + " s of closing", null),
                      CLOSE_SECONDS_MAX,
                      TimeUnit.SECONDS);
          var _ = channel.closeFuture().addListener(closed -> timer.cancel(false));
          closeIfAnswered();
        });
  }

  private void closeIfAnswered() {
    if (closing && !disconnectSent && requests.size() == 0 && failure == null) {
      disconnectSent = true;
      Request disconnect = new Request.Plain(Nbd.CMD_DISC, 0, 0, 0);
      ByteBuf header = channel.alloc().directBuffer(Nbd.EXTENDED_REQUEST_HEADER_BYTES);
      writeHeader(header, 0, disconnect);
      var _ =
          channel
              .writeAndFlush(header)
              .addListener(
                  (ChannelFutureListener)
                      sent ->
                          end(new IOException(uri + ": the client was closed"), channel::close));
    }
  }

  /// Closes the socket at once and fails what is in flight.
  void abort(String why) {
    onLoop(() -> fail(why, null));
  }

  /// Breaks the connection if a request has been without an answer for that long. Any thread.
  void breakIfUnanswered(long deadlineNanos) {
    onLoop(
        () -> {
          if (requests.hasSentBefore(System.nanoTime() - deadlineNanos)) {
            fail(
                "no answer to a request within "
                    + TimeUnit.NANOSECONDS.toMillis(deadlineNanos)
                    + " ms",
                null);
          }
        });
  }

  /// What its requests fail with once it has ended.
  IOException whyEnded() {
    IOException ended = failure;
    return ended != null ? copyOf(ended) : new IOException(uri + ": the connection was closed");
  }

  /// The action runs on the event loop, or here if it is closed already.
  void whenClosed(Runnable action) {
    var _ = channel.closeFuture().addListener(closed -> action.run());
  }

  /// Waits until the socket is closed, which a call of [#disconnect] or [#abort] must have begun.
  /// On the event loop, does not wait. An interrupt closes it at once.
  void awaitClosed() {
    if (channel.eventLoop().inEventLoop()) {
      return;
    }
    try {
      if (!channel.closeFuture().await(CLOSE_SECONDS_MAX + 1, TimeUnit.SECONDS)) {
        throw new IllegalStateException(
            uri + ": not closed (expected: no callback of a future that waits)");
      }
    } catch (InterruptedException e) {
      abort("interrupted while closing");
      Thread.currentThread().interrupt();
    }
  }

  private void onLoop(Runnable task) {
    if (channel.eventLoop().inEventLoop()) {
      task.run();
    } else {
      try {
        channel.eventLoop().execute(task);
      } catch (RejectedExecutionException e) {
        // The loop has ended, and with it the connection; what was queued too late ends here.
        failSubmitted(new IOException(uri + ": the client's event loop was closed", e));
      }
    }
  }

  private void fail(String what, @Nullable Throwable cause) {
    end(new IOException(uri + ": " + what, cause), this::closeSocket);
  }

  /// Without the goodbye of TLS, which would wait for a peer that may not listen any more.
  private ChannelFuture closeSocket() {
    ChannelHandlerContext nearestToSocket = channel.pipeline().firstContext();
    return nearestToSocket == null ? channel.close() : nearestToSocket.close();
  }

  private void end(IOException ended, Supplier<ChannelFuture> close) {
    if (failure != null) {
      return;
    }
    failure = ended;
    var _ = close.get();
    for (Request request : requests.takeAll()) {
      request.fail(copyOf(ended));
    }
    failSubmitted(ended);
  }

  /// An exception of its own for each request, because whoever gets it may add to it.
  private static IOException copyOf(IOException cause) {
    return new IOException(cause.getMessage(), cause);
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    if (!channel.isActive()) {
      fail("the server closed the connection", null);
    }
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    ByteBuf bytes = (ByteBuf) message;
    try {
      decoder.decode(bytes);
    } catch (ProtocolViolationException e) {
      fail("the server violated the protocol, it sent " + e.getMessage(), e);
    } finally {
      bytes.release();
    }
    closeIfAnswered();
  }

  /// The end of what the server says, without an end of the socket: the goodbye of TLS.
  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event == ChannelInputShutdownEvent.INSTANCE) {
      channelInactive(ctx);
    } else {
      ctx.fireUserEventTriggered(event);
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    fail(
        "the server closed the connection with "
            + requests.size()
            + " requests in flight; connect again to go on",
        null);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    fail("the connection broke: " + cause.getMessage(), cause);
  }
}
