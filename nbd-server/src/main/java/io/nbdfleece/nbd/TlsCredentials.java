// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.nio.file.Path;

/// With what one end proves itself and checks the other, laid out as all NBD programs do.
public sealed interface TlsCredentials {

  /// A directory with `ca-cert.pem`; for a server `server-cert.pem` and `server-key.pem`, and
  /// optionally `ca-crl.pem`; for a client optionally `client-cert.pem` and `client-key.pem`.
  record X509(Path directory) implements TlsCredentials {}

  /// Pre-shared keys: a file of lines `user:hex`, as `psktool` writes it.
  ///
  /// @param user which of the keys a client uses; a server accepts all of them and ignores it
  record Psk(Path file, String user) implements TlsCredentials {}
}
