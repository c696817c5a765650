// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.DecoderException;
import io.netty.handler.ssl.SslHandler;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import org.junit.jupiter.api.Test;

final class TlsFailureTest {

  /// Else anybody could fill the log with kilobytes of anything.
  @Test
  void whatIsNoTlsIsNotRepeated() throws Exception {
    SSLEngine engine = SSLContext.getDefault().createSSLEngine();
    engine.setUseClientMode(false);
    SslHandler handler = new SslHandler(engine);
    EmbeddedChannel channel = new EmbeddedChannel(handler);
    assertThrows(
        DecoderException.class, () -> channel.writeInbound(Unpooled.wrappedBuffer(new byte[5000])));
    assertEquals(
        "what the client sent is not TLS", TlsFailure.text(handler.handshakeFuture().cause()));
    assertThrows(DecoderException.class, channel::checkException);
  }
}
