// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportCatalog;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import java.util.function.Consumer;

/// The server without sockets and threads: its connections, on channels that a simulation makes.
public final class SimulatedServer {
  private final ServerState state;

  public SimulatedServer(ExportCatalog catalog, ServerLimits limits, ByteBufAllocator allocator) {
    state = new ServerState(catalog, limits, allocator);
  }

  /// Makes it the server of that channel, as a listener does with one that it has accepted.
  public void accept(Channel channel) {
    channel.config().setAllocator(state.allocator());
    channel
        .pipeline()
        .addLast(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel child) {
                Connection.attach(state, child);
              }
            });
  }

  /// Begins no more requests, finishes and answers those in flight, and ends.
  public void shutDown() {
    state.close();
    onEach(Connection::shutDown);
  }

  /// Ends what has not ended by itself.
  public void close() {
    onEach(Connection::close);
  }

  private void onEach(Consumer<Connection> action) {
    for (Connection connection : state.connections()) {
      connection.channel().eventLoop().execute(() -> action.accept(connection));
    }
  }

  /// Those that have begun and not ended.
  public int connectionCount() {
    return state.connections().size();
  }

  /// What all connections have taken of their common budget.
  public long flightBytes() {
    return state.flightBudget().takenBytes();
  }
}
