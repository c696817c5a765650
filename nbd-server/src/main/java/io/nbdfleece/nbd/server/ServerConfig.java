// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;

/// Where and within which limits to serve.
public record ServerConfig(List<Listen> listen, ServerLimits limits) {
  public ServerConfig {
    listen = List.copyOf(listen);
  }

  /// An address to listen on.
  public sealed interface Listen {
    /// A Unix socket, created with mode 0600. A stale socket file that nobody listens on is
    /// replaced.
    record Unix(Path path) implements Listen {}

    /// A TCP address; port 0 picks a free one.
    record Tcp(InetSocketAddress address) implements Listen {}
  }
}
