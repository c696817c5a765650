// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.NbdError;
import java.lang.System.Logger.Level;

/// Tells the operator what requests of one connection fail of: one line for each kind of trouble,
/// however many requests it is and however long it lasts. Used on the event loop only.
final class RequestLog {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.requests");

  private final Connection connection;
  private boolean failureTold;
  private boolean noMemoryTold;

  RequestLog(Connection connection) {
    this.connection = connection;
  }

  /// What the client has been told.
  void failed(Request request, NbdError number, String text) {
    boolean worthALine = number == NbdError.EIO && !failureTold;
    failureTold |= worthALine;
    LOG.log(
        worthALine ? Level.WARNING : Level.DEBUG,
        () ->
            "client %s: %s failed: %s (%s), offset=%d length=%d"
                .formatted(
                    connection.peer(),
                    request.getClass().getSimpleName(),
                    text,
                    number,
                    request.offsetBytes,
                    request.lengthBytes));
  }

  /// @param purpose what a buffer would have been for
  void noMemory(String purpose, long lengthBytes) {
    boolean worthALine = !noMemoryTold;
    noMemoryTold = true;
    LOG.log(
        worthALine ? Level.WARNING : Level.DEBUG,
        () ->
            "client %s: no memory for %s, which is refused: length=%d"
                .formatted(connection.peer(), purpose, lengthBytes));
  }
}
