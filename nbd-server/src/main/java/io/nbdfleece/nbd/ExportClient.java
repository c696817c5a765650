// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd;

/// A connection that has an export open, as the export sees it.
public interface ExportClient {

  /// Ends the connection: what is in flight is finished and answered, new requests get ESHUTDOWN. A
  /// client that does not take its replies is dropped after a while. Returns at once;
  /// [Export#disconnected] comes later. Any thread; idempotent.
  void disconnect();
}
