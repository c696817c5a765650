// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import io.nbdfleece.cli.control.QmpEvents;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.nbd.EngineExports;
import io.nbdfleece.fleecing.nbd.NamedExports;
import io.nbdfleece.nbd.ExportCatalog;
import java.lang.System.Logger.Level;

/// What commands add to what `serve` exports: exports, a server for them, and the events that tell
/// of them. Any thread.
final class CommandedExports implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("nbdfleece.control");

  private final QmpEvents events = new QmpEvents();
  private final NamedExports exports;
  private final CommandedNbdServer nbd;

  CommandedExports(FleecingEngine engine, CommandedNbdServer.Terms terms) {
    this.exports = new NamedExports(engine, this::deleted);
    this.nbd = new CommandedNbdServer(exports, terms);
  }

  private void deleted(String id) {
    LOG.log(Level.INFO, "export {0}: deleted", id);
    events.exportDeleted(id);
  }

  QmpEvents events() {
    return events;
  }

  NamedExports exports() {
    return exports;
  }

  CommandedNbdServer nbd() {
    return nbd;
  }

  /// What the addresses of `serve` show: the disks and their snapshots, and, as long as there is no
  /// server of their own, the added exports.
  ExportCatalog catalog(EngineExports disks) {
    return exports.beside(disks, () -> !nbd.running());
  }

  /// Ends the server.
  @Override
  public void close() {
    nbd.close();
  }
}
