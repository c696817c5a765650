// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.DirectSource;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportClient;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import java.lang.System.Logger.Level;
import java.util.Optional;

/// The one way from a connection into an export. It keeps both sides to the contract of [Export]:
/// the server passes checked ranges only and pairs `connected` with `disconnected`; an export that
/// throws has failed that request, and one that completes twice is told apart by [Request].
final class CheckedExport {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.requests");

  private final Export export;
  private final ExportInfo info;
  private boolean connected;

  CheckedExport(Export export) {
    this.export = export;
    this.info = export.info();
  }

  ExportInfo info() {
    return info;
  }

  void connected(ExportClient client) {
    assert !connected;
    connected = true;
    try {
      export.connected(client);
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "export failed in connected()", e);
    }
  }

  /// After the last completion.
  void disconnected() {
    assert connected;
    connected = false;
    try {
      export.disconnected();
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "export failed in disconnected()", e);
    }
  }

  /// See [Export#direct].
  Optional<DirectSource> direct(long offsetBytes, int lengthBytes) {
    assert connected;
    try {
      return export.direct(offsetBytes, lengthBytes);
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "export threw: " + e, e);
      return Optional.empty();
    }
  }

  void start(Request request) {
    assert connected;
    assert request.offsetBytes >= 0
        && request.lengthBytes >= 0
        && request.offsetBytes <= info.sizeBytes() - request.lengthBytes;
    try {
      request.start(export);
    } catch (Throwable thrown) { // a fault of the export must not cost the other connections
      LOG.log(Level.ERROR, "export threw: " + thrown, thrown);
      request.failed(new NbdException(NbdError.EIO, "internal error of the server", thrown));
    }
  }
}
