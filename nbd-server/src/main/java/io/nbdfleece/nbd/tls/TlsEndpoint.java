// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.TlsCredentials;
import io.netty.channel.Channel;
import io.netty.util.concurrent.Future;
import java.io.IOException;

/// Encrypts connections of one end with one set of credentials, which were read and checked when it
/// was made. TLS 1.2 and 1.3. Thread-safe; one for any number of connections.
public interface TlsEndpoint {

  /// Puts encryption between the socket and the rest of the pipeline, and begins the handshake.
  /// Everything written to the channel before this call leaves in plain text, everything after it
  /// encrypted. Called on the event loop; the future completes there, with what the peer has
  /// proved, or fails, after which the channel is closed by the caller. There is no deadline for
  /// it: the caller closes the channel when it has waited long enough.
  ///
  /// The channel's handlers see an encrypted stream as they would a plain one: closing the channel
  /// sends close_notify, a close_notify of the peer arrives as `ChannelInputShutdownEvent`, and
  /// what a peer sent wrong as an `IOException`.
  Future<ClientIdentity.Tls> encrypt(Channel channel);

  /// For the server's end. Fails with a message that names the file and says what is wrong with it.
  ///
  /// @param verifyClients X.509 only: whether a client must show a certificate of the authority
  static TlsEndpoint server(TlsCredentials credentials, boolean verifyClients) throws IOException {
    return switch (credentials) {
      case TlsCredentials.X509 x509 -> X509Endpoint.server(x509.directory(), verifyClients);
      case TlsCredentials.Psk psk -> PskEndpoint.server(psk.file());
    };
  }

  /// For the client's end. Fails with a message that names the file and says what is wrong with it.
  ///
  /// @param verifyPeer X.509 only: whether the server's certificate must come from the authority
  ///   and be made out to `hostname`
  /// @param hostname name or address that the server is called by; empty when it has none, as on a
  ///   Unix socket: then the certificate must come from the authority, whatever its names
  static TlsEndpoint client(TlsCredentials credentials, boolean verifyPeer, String hostname)
      throws IOException {
    return switch (credentials) {
      case TlsCredentials.X509 x509 -> X509Endpoint.client(x509.directory(), verifyPeer, hostname);
      case TlsCredentials.Psk psk -> PskEndpoint.client(psk.file(), psk.user());
    };
  }
}
