// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.time.Duration;
import java.util.List;

/// Skeleton of the contract; to be written.
public final class NbdServer {
  private NbdServer() {}

  /// Binds every address and serves; when it returns, clients can connect. Fails with a message
  /// that names the address (port taken, socket path in use, directory missing); then nothing stays
  /// bound.
  public static NbdServer start(ServerConfig config, ExportCatalog catalog) throws IOException {
    throw new IOException("skeleton: " + config + catalog);
  }

  /// What is bound, in the order of the configuration, port 0 resolved, with an empty export name.
  public List<NbdUri> uris() {
    return List.of();
  }

  /// Clients connected now, negotiating ones included.
  public int connectionCount() {
    return 0;
  }

  /// Stops accepting, answers new requests with ESHUTDOWN, waits at most `drain` for what is in
  /// flight and its replies, closes the connections and removes the Unix sockets. Idempotent.
  public void close(Duration drain) {}
}
