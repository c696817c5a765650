// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import java.lang.System.Logger.Level;
import java.util.concurrent.TimeUnit;

/// Stops accepting while [Handshakes] asks for it, and for a moment when the kernel has no socket
/// for us. In the pipeline of a listening socket.
final class AcceptBrake extends ChannelInboundHandlerAdapter {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.connections");
  private static final long RETRY_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Handshakes handshakes;
  private boolean failureTold;

  AcceptBrake(Handshakes handshakes) {
    this.handshakes = handshakes;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object accepted) {
    failureTold = false;
    ctx.fireChannelRead(accepted);
    if (ctx.channel().config().isAutoRead()) {
      look(ctx);
    }
  }

  /// Most often all file descriptors are in use. Clients wait in the kernel's queue, which would
  /// wake us again at once. One line until the next client is accepted.
  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    if (!failureTold) {
      failureTold = true;
      LOG.log(
          Level.WARNING,
          "cannot accept clients, they wait; tried again each second: {0}"
              + " (if it is too many open files: ulimit -n, LimitNOFILE=)",
          cause.getMessage());
    }
    ctx.channel().config().setAutoRead(false);
    lookAfter(ctx, RETRY_NANOS);
  }

  private void look(ChannelHandlerContext ctx) {
    if (!ctx.channel().isOpen()) {
      return;
    }
    long pauseNanos = handshakes.pauseNanos();
    ctx.channel().config().setAutoRead(pauseNanos <= 0);
    if (pauseNanos > 0) {
      lookAfter(ctx, pauseNanos);
    }
  }

  private void lookAfter(ChannelHandlerContext ctx, long nanos) {
    var unused = ctx.executor().schedule(() -> look(ctx), nanos, TimeUnit.NANOSECONDS);
    assert unused != null;
  }
}
