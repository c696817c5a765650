// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportClient;
import io.netty.channel.EventLoop;
import java.lang.System.Logger.Level;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The hold that an export has on one of its connections.
final class ServedClient implements ExportClient {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.connections");

  private final Connection connection;
  private final EventLoop loop;
  private volatile boolean unwanted;

  /// Event loop only.
  private @Nullable Transmission transmission;

  ServedClient(Connection connection, EventLoop loop) {
    this.connection = connection;
    this.loop = loop;
  }

  /// Event loop only, before the first request.
  Transmission serves(Transmission begun) {
    transmission = begun;
    if (unwanted) {
      begun.close(Verdict.WITHDRAWN);
    }
    return begun;
  }

  @Override
  public void disconnect() {
    if (!unwanted) {
      unwanted = true;
      try {
        // Later, also when called inside of the handshake: its answer leaves first.
        loop.execute(this::withdraw);
      } catch (RejectedExecutionException serverClosed) {
        LOG.log(Level.DEBUG, "event loop has ended", serverClosed);
      }
    }
  }

  private void withdraw() {
    Transmission open = transmission;
    if (open == null || !connection.channel().isActive()) {
      return;
    }
    open.close(Verdict.WITHDRAWN);
    open.flush();
    long nanos = connection.server().limits().stalledReaderDeadline().toNanos();
    // It may have sent a part of a request, or not read what it asked for.
    var _ = loop.schedule(connection::close, nanos, TimeUnit.NANOSECONDS);
  }
}
