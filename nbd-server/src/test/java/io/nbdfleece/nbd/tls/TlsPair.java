// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.util.concurrent.Future;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// Both ends in one thread, without sockets: what one sends, the other gets when [#settle] is
/// called.
final class TlsPair implements AutoCloseable {
  final EmbeddedChannel server = new EmbeddedChannel(new End());
  final EmbeddedChannel client = new EmbeddedChannel(new End());
  final Future<ClientIdentity.Tls> atServer;
  final Future<ClientIdentity.Tls> atClient;

  /// Notes the end of the input.
  static final class End extends ChannelInboundHandlerAdapter {
    boolean seen;
    final List<Throwable> failures = new ArrayList<>();

    @Override
    public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
      seen |= event == ChannelInputShutdownEvent.INSTANCE;
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      failures.add(cause);
    }
  }

  TlsPair(TlsEndpoint serverEnd, TlsEndpoint clientEnd) {
    atServer = serverEnd.encrypt(server);
    atClient = clientEnd.encrypt(client);
    settle();
  }

  static boolean sawEnd(EmbeddedChannel channel) {
    return channel.pipeline().get(End.class).seen;
  }

  void settle() {
    boolean moved;
    do {
      moved = move(client, server);
      moved |= move(server, client);
    } while (moved);
  }

  private static boolean move(EmbeddedChannel from, EmbeddedChannel to) {
    from.runPendingTasks();
    boolean moved = false;
    for (ByteBuf bytes = from.readOutbound(); bytes != null; bytes = from.readOutbound()) {
      moved |= bytes.isReadable();
      to.pipeline().fireChannelRead(bytes);
    }
    to.pipeline().fireChannelReadComplete();
    to.runPendingTasks();
    return moved;
  }

  static void send(EmbeddedChannel from, byte[] bytes) {
    var _ = from.writeOneOutbound(Unpooled.copiedBuffer(bytes));
    from.flushOutbound();
  }

  static byte[] received(EmbeddedChannel at) {
    ByteBuf all = Unpooled.buffer();
    for (ByteBuf part = at.readInbound(); part != null; part = at.readInbound()) {
      all.writeBytes(part);
      part.release();
    }
    byte[] bytes = new byte[all.readableBytes()];
    all.readBytes(bytes);
    return bytes;
  }

  static String text(EmbeddedChannel at) {
    return new String(received(at), StandardCharsets.UTF_8);
  }

  @Override
  public void close() {
    var _ = List.of(client.close(), server.close());
    settle();
    received(client);
    received(server);
    client.runPendingTasks();
    server.runPendingTasks();
  }
}
