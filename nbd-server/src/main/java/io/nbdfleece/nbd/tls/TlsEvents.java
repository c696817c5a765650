// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.handler.codec.DecoderException;
import io.netty.handler.ssl.SslCloseCompletionEvent;
import java.io.IOException;

/// Behind Netty's handler of TLS: lets the end of an encrypted stream look like the end of a plain
/// one. A peer's close_notify is the end of its input, not of its connection: replies under way
/// still leave. What a peer sent wrong arrives as `IOException`.
final class TlsEvents extends ChannelInboundHandlerAdapter {
  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof SslCloseCompletionEvent close) {
      if (close.isSuccess()) {
        ctx.fireUserEventTriggered(ChannelInputShutdownEvent.INSTANCE);
      }
      // A connection that ended without close_notify has reported that end itself.
      return;
    }
    ctx.fireUserEventTriggered(event);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    ctx.fireExceptionCaught(
        cause instanceof DecoderException && cause.getCause() instanceof IOException wrong
            ? wrong
            : cause);
  }
}
