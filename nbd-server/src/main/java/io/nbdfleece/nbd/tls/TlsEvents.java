// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.handler.codec.DecoderException;
import io.netty.handler.ssl.SslCloseCompletionEvent;
import io.netty.handler.ssl.SslHandler;
import java.io.IOException;
import java.lang.System.Logger.Level;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLProtocolException;

/// Behind Netty's handler of TLS: lets the end of an encrypted stream look like the end of a plain
/// one. A peer's close_notify is the end of its input, not of its connection: replies under way
/// still leave. What a peer sent wrong arrives as `IOException`.
///
/// A peer that begins another handshake under TLS 1.2 is dropped: nobody needs that, it costs us
/// more than the peer, and until it is over nothing that is written can leave. Under TLS 1.3 there
/// are no further handshakes, only messages that are over at once, as an update of keys; who owns
/// the channel sees to it that their answers do not pile up.
final class TlsEvents extends ChannelInboundHandlerAdapter {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.tls");

  private final SslHandler handler;
  private boolean dropped;

  /// @param handler the one before this
  TlsEvents(SslHandler handler) {
    this.handler = handler;
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    // A handshake waits for the peer after each of its steps, so one that goes on is seen here.
    if (!dropped && isHandshakingAgain()) {
      dropped = true;
      ctx.fireExceptionCaught(new SSLProtocolException("TLS 1.2: another handshake (unexpected)"));
      ChannelHandlerContext below = ctx.pipeline().context(handler);
      if (below != null) {
        // Not by way of the handler, whose goodbye would have to wait for that handshake.
        below.close().addListener(closed -> LOG.log(Level.DEBUG, "closed"));
      }
    }
    ctx.fireChannelReadComplete();
  }

  private boolean isHandshakingAgain() {
    if (!handler.handshakeFuture().isSuccess()) {
      return false;
    }
    SSLEngine engine = handler.engine();
    // Of a connection that is being closed the status tells whose goodbye is outstanding.
    return engine.getHandshakeStatus() != HandshakeStatus.NOT_HANDSHAKING
        && !engine.isInboundDone()
        && !engine.isOutboundDone()
        && engine.getSession().getProtocol().equals("TLSv1.2");
  }

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
