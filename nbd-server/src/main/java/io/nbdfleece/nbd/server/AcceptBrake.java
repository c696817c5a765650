// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import java.util.concurrent.TimeUnit;

/// Stops accepting while [Handshakes] asks for it. In the pipeline of a listening socket.
final class AcceptBrake extends ChannelInboundHandlerAdapter {
  private final Handshakes handshakes;

  AcceptBrake(Handshakes handshakes) {
    this.handshakes = handshakes;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object accepted) {
    ctx.fireChannelRead(accepted);
    if (ctx.channel().config().isAutoRead()) {
      look(ctx);
    }
  }

  private void look(ChannelHandlerContext ctx) {
    if (!ctx.channel().isOpen()) {
      return;
    }
    long pauseNanos = handshakes.pauseNanos();
    ctx.channel().config().setAutoRead(pauseNanos <= 0);
    if (pauseNanos > 0) {
      var unused = ctx.executor().schedule(() -> look(ctx), pauseNanos, TimeUnit.NANOSECONDS);
      assert unused != null;
    }
  }
}
