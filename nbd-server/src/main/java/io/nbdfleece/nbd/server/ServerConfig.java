// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;

/// Where, how encrypted, and within which limits to serve.
///
/// @param readerStart what each thread that serves clients who may only read does first; such a
///   thread is busy as long as somebody reads, so it may want to give way to others. Must not fail
public record ServerConfig(
    List<Listen> listen, ServerLimits limits, ServerTls tls, Runnable readerStart) {
  public ServerConfig {
    listen = List.copyOf(listen);
  }

  /// With all threads alike.
  public ServerConfig(List<Listen> listen, ServerLimits limits, ServerTls tls) {
    this(listen, limits, tls, () -> {});
  }

  /// Without encryption.
  public ServerConfig(List<Listen> listen, ServerLimits limits) {
    this(listen, limits, ServerTls.OFF);
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
