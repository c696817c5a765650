// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandler;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
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
  private final Duration deadline;
  private ByteBuf current = Unpooled.EMPTY_BUFFER;
  private long receivedBytes;
  private volatile boolean closed;

  private sealed interface Arrival {
    record Bytes(ByteBuf bytes) implements Arrival {}

    record End(@Nullable Throwable cause) implements Arrival {}
  }

  HandshakeStream(Channel channel, Duration deadline) {
    this.channel = channel;
    this.deadline = deadline;
    this.deadlineNanos = System.nanoTime() + deadline.toNanos();
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
        throw interrupted(e);
      }
    }
    return switch (arrival) {
      case null -> throw new HandshakeTimeoutException(deadline);
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

  /// Goes on over TLS, after NBD_OPT_STARTTLS was acknowledged. What the server sent behind the
  /// acknowledgement, while it had to wait for the client to speak, was put there by somebody who
  /// wants it to pass for encrypted: it ends the connection (CVE-2011-0411 and its kin).
  ClientIdentity.Tls encrypt(TlsEndpoint endpoint) throws IOException {
    CompletableFuture<ClientIdentity.Tls> proved = new CompletableFuture<>();
    try {
      channel.eventLoop().execute(() -> encrypt(endpoint, proved));
      return proved.get(deadlineNanos - System.nanoTime(), TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException e) {
      throw new IOException("the client's event loop was closed", e);
    } catch (TimeoutException e) {
      throw new IOException("TLS: no end of its handshake within " + text(deadline), e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof ProtocolViolationException violation
          ? violation
          : new IOException(tlsText(e.getCause()), e.getCause());
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  private void encrypt(TlsEndpoint endpoint, CompletableFuture<ClientIdentity.Tls> proved) {
    if (current.isReadable() || arrivals.stream().anyMatch(Arrival.Bytes.class::isInstance)) {
      proved.completeExceptionally(
          new ProtocolViolationException("plain bytes behind its acknowledgement of STARTTLS"));
      return;
    }
    var _ =
        endpoint
            .encrypt(channel)
            .addListener(
                (Future<ClientIdentity.Tls> ended) -> {
                  channel.config().setAutoRead(false);
                  if (ended.isSuccess()) {
                    proved.complete(ended.getNow());
                  } else {
                    proved.completeExceptionally(ended.cause());
                  }
                });
    // The handshake has no reader that asks for more; it ends within the deadline.
    channel.config().setAutoRead(!proved.isDone());
  }

  private static String tlsText(@Nullable Throwable cause) {
    StringBuilder text = new StringBuilder("TLS: the handshake failed");
    // The reason is at the bottom, e.g. the certificate's, below an exception of the handshake.
    Throwable reason = cause;
    String said = "";
    while (reason != null) {
      String message = reason.getMessage();
      if (message != null && !said.contains(message)) {
        said = message;
        text.append(": ").append(ServerText.forPeople(message.getBytes(UTF_8)));
      }
      reason = reason.getCause();
    }
    return text.toString();
  }

  private static InterruptedIOException interrupted(InterruptedException cause) {
    Thread.currentThread().interrupt();
    InterruptedIOException interrupted = new InterruptedIOException("interrupted");
    interrupted.initCause(cause);
    return interrupted;
  }

  private static String text(Duration deadline) {
    return deadline.toMillis() % 1000 == 0
        ? deadline.toSeconds() + " s"
        : deadline.toMillis() + " ms";
  }

  /// Ends the handshake: from now on `successor` gets what arrives, and what has arrived already.
  void handOver(ChannelInboundHandler successor) throws IOException {
    var replaced =
        channel
            .eventLoop()
            .submit(
                () -> {
                  if (channel.pipeline().context(this) == null) {
                    throw new HandshakeEndedException(null);
                  }
                  channel.pipeline().replace(this, null, successor);
                  // Not through the pipeline: what is here has passed its TLS already.
                  ChannelHandlerContext ctx = channel.pipeline().context(successor);
                  if (current.isReadable()) {
                    successor.channelRead(ctx, current.retain());
                  }
                  for (Arrival a = arrivals.poll(); a != null; a = arrivals.poll()) {
                    switch (a) {
                      case Arrival.Bytes(ByteBuf bytes) -> successor.channelRead(ctx, bytes);
                      case Arrival.End _ ->
                          successor.userEventTriggered(ctx, ChannelInputShutdownEvent.INSTANCE);
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

  /// The connecting thread's alone, as `current` is.
  private void release() {
    current.release();
    current = Unpooled.EMPTY_BUFFER;
    releaseArrivals();
  }

  /// By any thread.
  private void releaseArrivals() {
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
        releaseArrivals();
      }
    }
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event == ChannelInputShutdownEvent.INSTANCE) { // the goodbye of TLS
      arrivals.add(new Arrival.End(null));
    } else {
      ctx.fireUserEventTriggered(event);
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

    private HandshakeTimeoutException(Duration deadline) {
      super("no answer within " + text(deadline));
    }
  }
}
