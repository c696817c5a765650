// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;

/// Where, how encrypted, and within which limits to serve.
public record ServerConfig(
    List<Listen> listen, ServerLimits limits, ServerTls tls, ThreadStarts threadStarts) {
  public ServerConfig {
    listen = List.copyOf(listen);
  }

  /// With all threads alike.
  public ServerConfig(List<Listen> listen, ServerLimits limits, ServerTls tls) {
    this(listen, limits, tls, ThreadStarts.ALIKE);
  }

  /// Without encryption.
  public ServerConfig(List<Listen> listen, ServerLimits limits) {
    this(listen, limits, ServerTls.OFF);
  }

  /// What threads do first, to tell the system how soon they have to run. Must not fail.
  ///
  /// @param guest of each that serves clients who may write: it sleeps between two requests, and a
  ///   guest waits until it runs
  /// @param reader of each that serves clients who may only read: it is busy as long as somebody
  ///   reads
  public record ThreadStarts(Runnable guest, Runnable reader) {
    /// Nothing.
    public static final ThreadStarts ALIKE = new ThreadStarts(() -> {}, () -> {});
  }

  /// An address to listen on.
  public sealed interface Listen {
    /// A Unix socket, created with mode 0600. A stale socket file that nobody listens on is
    /// replaced.
    record Unix(Path path) implements Listen {}

    /// A TCP address; port 0 picks a free one.
    record Tcp(InetSocketAddress address) implements Listen {}

    /// A socket that somebody else has bound and is listening on, e.g. systemd: a Unix stream or a
    /// TCP socket; anything else is refused. Its socket file, if any, is left in place at the end.
    ///
    /// @param descriptor number in this process; the server owns it from then on
    record Inherited(int descriptor) implements Listen {}
  }
}
