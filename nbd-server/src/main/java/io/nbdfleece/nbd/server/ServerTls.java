// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.TlsCredentials;
import java.util.Optional;

/// Whether and how a server encrypts (NBD specification, "TLS support": NOTLS, SELECTIVETLS,
/// FORCEDTLS).
///
/// @param credentials present unless the mode is [Mode#OFF]
/// @param verifyClients X.509 only: whether a client must show a certificate of our authority. That
///   alone says that it has one, not what it may open: see [io.nbdfleece.nbd.ExportCatalog]
public record ServerTls(Mode mode, Optional<TlsCredentials> credentials, boolean verifyClients) {
  /// No encryption.
  public static final ServerTls OFF = new ServerTls(Mode.OFF, Optional.empty(), false);

  public ServerTls {
    if (credentials.isPresent() == (mode == Mode.OFF)) {
      throw new IllegalArgumentException(
          "TLS mode " + mode + (credentials.isPresent() ? " with" : " without") + " credentials");
    }
  }

  /// Who gets encryption.
  public enum Mode {
    /// Nobody.
    OFF,
    /// Who asks for it.
    ON,
    /// Everybody; without it a client can do nothing.
    REQUIRE
  }
}
