// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.TlsCredentials;
import io.nbdfleece.nbd.tls.TlsEndpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Finds the credentials that an `nbds:` URI means, where libnbd finds them.
final class ClientCredentials {
  private static final Path SYSTEM_DIRECTORY = Path.of("/etc/pki/libnbd");

  private ClientCredentials() {}

  /// Reads them afresh, so that renewed ones are used by the next connection.
  ///
  /// @param host what the server is called; empty if it has no name
  static TlsEndpoint endpoint(NbdUri.Tls tls, String host) throws IOException {
    return TlsEndpoint.client(
        of(tls, Path.of(System.getProperty("user.home", "/"))),
        tls.verifyPeer(),
        tls.hostname().orElse(host));
  }

  static TlsCredentials of(NbdUri.Tls tls, Path home) throws IOException {
    String user = tls.user().isEmpty() ? System.getProperty("user.name", "") : tls.user();
    if (tls.pskFile().isPresent()) {
      return new TlsCredentials.Psk(tls.pskFile().get(), user);
    }
    if (tls.certificates().isPresent()) {
      return new TlsCredentials.X509(tls.certificates().get());
    }
    // libnbd looks at the first place as root only, and at the others as anybody else only.
    List<Path> places =
        List.of(home.resolve(".pki/libnbd"), home.resolve(".config/pki/libnbd"), SYSTEM_DIRECTORY);
    for (Path place : places) {
      if (Files.isDirectory(place)) {
        return new TlsCredentials.X509(place);
      }
    }
    throw new IOException(
        "no certificates in "
            + places
            + "; say where they are: ?tls-certificates=DIR with ca-cert.pem in it, or"
            + " ?tls-psk-file=FILE");
  }
}
