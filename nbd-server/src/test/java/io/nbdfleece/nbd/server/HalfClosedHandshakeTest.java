// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.wire.Nbd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOutboundBuffer;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/// A client that has asked for more than it took when it half-closes the connection.
final class HalfClosedHandshakeTest {
  private static final int LIST_COUNT = 5;

  private static final class FullSocket extends EmbeddedChannel {
    private boolean full;

    FullSocket(ServerState state) {
      super(
          new ChannelInitializer<Channel>() {
            @Override
            protected void initChannel(Channel channel) {
              Connection.attach(state, channel);
            }
          });
    }

    @Override
    protected void doWrite(ChannelOutboundBuffer out) throws Exception {
      if (!full) {
        super.doWrite(out);
      }
    }

    int receivedBytes() {
      int bytes = 0;
      for (ByteBuf out; (out = readOutbound()) != null; ) {
        bytes += out.readableBytes();
        out.release();
      }
      return bytes;
    }
  }

  @Test
  void everyOptionIsAnsweredBeforeTheEnd() throws IOException {
    CatalogExport catalog = new CatalogExport();
    for (int index = 0; index < 100; index++) {
      catalog.with("%01000d".formatted(index), new MemoryExport(512, MemoryExport.WRITABLE));
    }
    ServerState state =
        new ServerState(catalog, TestServer.LIMITS, UnpooledByteBufAllocator.DEFAULT);
    FullSocket channel = new FullSocket(state);
    channel.full = true;
    channel.writeInbound(Unpooled.wrappedBuffer(RawPeer.bytes(flags -> flags.writeInt(3))));
    for (int count = 0; count < LIST_COUNT; count++) {
      channel.writeInbound(Unpooled.wrappedBuffer(RawPeer.option(Nbd.OPT_LIST)));
    }
    assertFalse(channel.config().isAutoRead(), "the first answer waits");
    // It leaves with the next one, inside of the work on what had been read.
    channel.full = false;
    channel.pipeline().fireUserEventTriggered(ChannelInputShutdownEvent.INSTANCE);
    assertFalse(channel.isOpen());
    int bytes = channel.receivedBytes();
    assertTrue(bytes > LIST_COUNT * 100_000, () -> "received: " + bytes);
    assertEquals(0, state.connections().size());
  }
}
