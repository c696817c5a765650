// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import io.netty.channel.Channel;
import io.netty.util.concurrent.Future;

/// Encrypts connections of one end with one set of credentials, which were read and checked when it
/// was made. Thread-safe; one for any number of connections.
public interface TlsEndpoint {

  /// Puts encryption between the socket and the rest of the pipeline, and begins the handshake.
  /// Everything written to the channel before this call leaves in plain text, everything after it
  /// encrypted. Called on the event loop; the future completes there, with what the peer has
  /// proved, or fails, after which the channel is closed by the caller.
  Future<ClientIdentity.Tls> encrypt(Channel channel);
}
