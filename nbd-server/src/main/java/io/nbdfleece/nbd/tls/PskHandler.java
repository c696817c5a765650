// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelPromise;
import io.netty.channel.PendingWriteQueue;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Promise;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import org.bouncycastle.tls.TlsProtocol;
import org.jspecify.annotations.Nullable;

/// Between socket and pipeline: ciphertext there, plain text here. Event loop only.
///
/// ```
///   socket ─▶ channelRead ─▶ machine ─▶ fireChannelRead       write ─▶ machine ─▶ socket
///                               └─ handshake, alerts ─▶ socket
/// ```
///
/// What is written is encrypted at once, so what waits to be sent stands in the channel's own
/// outbound buffer, where writability and promises are right without more ado. Only until the
/// handshake is over it is kept here.
final class PskHandler extends ChannelDuplexHandler {
  /// Encrypted in one go: four records.
  private static final int WRITE_BYTES_MAX = 64 << 10;

  private final PskMachine machine;
  private final TlsProtocol protocol;
  private final Promise<ClientIdentity.Tls> proved;
  private @Nullable PendingWriteQueue early;
  private boolean broken;
  private boolean endReported;
  private boolean readAny;

  PskHandler(PskMachine machine, Promise<ClientIdentity.Tls> proved) {
    this.machine = machine;
    this.protocol = machine.protocol();
    this.proved = proved;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    early = new PendingWriteQueue(ctx);
    // The client's first message.
    send(ctx, ctx.newPromise());
    ctx.flush();
    if (!ctx.channel().config().isAutoRead()) {
      ctx.read();
    }
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    ByteBuf ciphertext = (ByteBuf) message;
    try {
      if (!broken && !machine.inputEnded()) {
        offer(ctx, ciphertext);
        progress(ctx);
        deliver(ctx);
        reportEnd(ctx);
      }
    } catch (IOException | RuntimeException wrong) {
      fail(ctx, wrong);
    } finally {
      ciphertext.release();
    }
  }

  private void offer(ChannelHandlerContext ctx, ByteBuf ciphertext) throws IOException {
    int bytes = ciphertext.readableBytes();
    ByteBuf array = ctx.alloc().heapBuffer(bytes);
    try {
      array.writeBytes(ciphertext);
      protocol.offerInput(array.array(), array.arrayOffset(), bytes);
    } finally {
      array.release();
    }
  }

  private void deliver(ChannelHandlerContext ctx) {
    int bytes = protocol.getAvailableInputBytes();
    if (bytes > 0) {
      ByteBuf plain = ctx.alloc().directBuffer(bytes, bytes);
      plain.writerIndex(protocol.readInput(plain.nioBuffer(0, bytes), bytes));
      readAny = true;
      ctx.fireChannelRead(plain);
    }
  }

  /// Answers of the machine leave; the end of the handshake is told, and what waited for it leaves.
  private void progress(ChannelHandlerContext ctx) {
    if (protocol.getAvailableOutputBytes() > 0) {
      send(ctx, ctx.newPromise());
      ctx.flush();
    }
    PendingWriteQueue kept = early;
    if (kept != null && machine.proved().isPresent()) {
      early = null;
      proved.trySuccess(machine.proved().get());
      while (!kept.isEmpty()) {
        Object message = ReferenceCountUtil.retain(kept.current());
        write(ctx, message, kept.remove());
      }
      ctx.flush();
    }
  }

  private void reportEnd(ChannelHandlerContext ctx) {
    if (machine.inputEnded() && !endReported) {
      endReported = true;
      ctx.fireUserEventTriggered(ChannelInputShutdownEvent.INSTANCE);
    }
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    boolean needsMore = !readAny && !broken;
    readAny = false;
    ctx.fireChannelReadComplete();
    if (needsMore && !ctx.channel().config().isAutoRead()) {
      // Who asked for one read expects plain text, and the handshake must go on in any case.
      ctx.read();
    }
  }

  @Override
  public void write(ChannelHandlerContext ctx, Object message, ChannelPromise promise) {
    PendingWriteQueue kept = early;
    if (broken) {
      ReferenceCountUtil.release(message);
      promise.tryFailure(new ClosedChannelException());
    } else if (kept != null) {
      kept.add(message, promise.isVoid() ? ctx.newPromise() : promise);
    } else {
      encrypt(ctx, (ByteBuf) message, promise);
    }
  }

  private void encrypt(ChannelHandlerContext ctx, ByteBuf plain, ChannelPromise promise) {
    ByteBuf array = Unpooled.EMPTY_BUFFER;
    try {
      array = ctx.alloc().heapBuffer(Math.min(WRITE_BYTES_MAX, plain.readableBytes()));
      while (plain.readableBytes() > WRITE_BYTES_MAX) {
        encrypt(array, plain, WRITE_BYTES_MAX);
        // When a piece fails the channel closes, and the last one fails as well.
        send(ctx, ctx.voidPromise());
      }
      encrypt(array, plain, plain.readableBytes());
      send(ctx, promise);
    } catch (IOException | RuntimeException | Error wrong) {
      // An Error as well: half of a message must not have the next one behind it.
      promise.tryFailure(wrong);
      fail(ctx, wrong);
    } finally {
      array.release();
      plain.release();
    }
  }

  private void encrypt(ByteBuf array, ByteBuf plain, int bytes) throws IOException {
    if (bytes > 0) {
      array.clear().writeBytes(plain, bytes);
      protocol.writeApplicationData(array.array(), array.arrayOffset(), bytes);
    }
  }

  /// Hands over what the machine has to say; nothing is a message as well, for its promise.
  private void send(ChannelHandlerContext ctx, ChannelPromise promise) {
    int bytes = protocol.getAvailableOutputBytes();
    ByteBuf ciphertext =
        bytes == 0 ? Unpooled.EMPTY_BUFFER : ctx.alloc().directBuffer(bytes, bytes);
    if (bytes > 0) {
      ciphertext.writerIndex(protocol.readOutput(ciphertext.nioBuffer(0, bytes), bytes));
    }
    var sent = ctx.write(ciphertext, promise);
    assert sent != null;
  }

  /// Sends the alert, if there is one, and tells everybody.
  private void fail(ChannelHandlerContext ctx, Throwable wrong) {
    if (broken) {
      return;
    }
    broken = true;
    try {
      send(ctx, ctx.newPromise());
      ctx.flush();
    } catch (RuntimeException | Error noMemory) {
      wrong.addSuppressed(noMemory);
    }
    discardEarly(wrong);
    if (!proved.tryFailure(wrong)) {
      ctx.fireExceptionCaught(wrong);
    }
  }

  private void discardEarly(Throwable why) {
    PendingWriteQueue kept = early;
    early = null;
    if (kept != null) {
      kept.removeAndFailAll(why);
    }
  }

  /// Says goodbye without waiting for an answer. What the socket does not take now is lost, as with
  /// a plain connection that is closed.
  @Override
  public void close(ChannelHandlerContext ctx, ChannelPromise promise) {
    try {
      sayGoodbye(ctx);
    } finally {
      // Also when there is no memory for it.
      var closed = ctx.close(promise);
      assert closed != null;
    }
  }

  private void sayGoodbye(ChannelHandlerContext ctx) {
    if (!broken) {
      broken = true;
      discardEarly(new ClosedChannelException());
      try {
        protocol.close();
        send(ctx, ctx.newPromise());
        ctx.flush();
      } catch (IOException | RuntimeException wrong) {
        proved.tryFailure(wrong);
      }
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    broken = true;
    ClosedChannelException closed = new ClosedChannelException();
    discardEarly(closed);
    proved.tryFailure(closed);
    ctx.fireChannelInactive();
  }

  @Override
  public void handlerRemoved(ChannelHandlerContext ctx) {
    discardEarly(new ClosedChannelException());
  }
}
