// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

/// What a connection is doing. Called on its event loop only.
///
/// ```
///   Haggling ──GO, EXPORT_NAME──▶ Transmission
/// ```
sealed interface Phase permits Haggling, Transmission {
  /// Consumes as much of the unread input as it can, or pauses the connection.
  void consume();

  /// A turn is over: sends what is ready.
  void flush();

  /// Whether a paused connection may go on.
  boolean mayContinue();

  /// How many bytes of its answers may wait to be sent now, at most.
  long answerBytes();

  /// The client will send nothing more; what it sent has been consumed as far as possible.
  void inputEnded();

  /// The server is closing.
  void shutDown();

  /// The connection is gone. Called once.
  void lost();
}
