// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.tls;

import io.nbdfleece.nbd.ClientIdentity;
import java.util.Optional;
import org.bouncycastle.tls.TlsProtocol;

/// One end of one connection: bytes in, bytes out, no socket. Its peer's close_notify does not end
/// it, but is told by [#inputEnded]; what is written afterwards still leaves.
interface PskMachine {
  TlsProtocol protocol();

  /// What the other end has proved; empty until the handshake is over.
  Optional<ClientIdentity.Tls> proved();

  /// Whether the other end has said that it will send nothing more.
  boolean inputEnded();
}
