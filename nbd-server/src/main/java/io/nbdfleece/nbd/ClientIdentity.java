// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

import java.util.List;
import java.util.Optional;

/// Who is at the other end of a connection, as far as that has been proved. Before TLS is up, `tls`
/// is empty even if the client is going to ask for it.
///
/// @param tls what TLS proved; empty on a connection that is not encrypted
/// @param unix what the kernel says of the process at the other end of a Unix socket
public record ClientIdentity(Optional<Tls> tls, Optional<Unix> unix) {
  /// Nothing is known: TCP without TLS.
  public static final ClientIdentity UNKNOWN =
      new ClientIdentity(Optional.empty(), Optional.empty());

  /// Whether others can neither read nor change what travels.
  public boolean isEncrypted() {
    return tls.isPresent();
  }

  /// @param protocol e.g. `TLSv1.3`
  /// @param names what the peer has proved to be called, most specific first: of a certificate that
  ///   was verified its subject (RFC 2253), its common name, its subject alternative names; or the
  ///   one identity of a pre-shared key. Empty when the peer was not asked to prove anything
  public record Tls(String protocol, List<String> names) {
    public Tls {
      names = List.copyOf(names);
    }
  }

  /// @param uid effective user when it connected
  /// @param gid effective group when it connected
  /// @param pid process; may have ended since
  public record Unix(int uid, int gid, int pid) {}
}
