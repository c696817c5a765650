// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/// Exports that were added one by one, as QMP's `block-export-add` does it. Bitmaps that an export
/// shows are busy as long as it is there. Any thread.
public final class NamedExports implements ExportCatalog {
  private final FleecingEngine engine;
  private final Consumer<String> deleted;

  /// @param deleted told the id of each export once it is gone, before [#remove] completes
  public NamedExports(FleecingEngine engine, Consumer<String> deleted) {
    this.engine = engine;
    this.deleted = deleted;
  }

  /// Adds one. Fails with QEMU's texts: id in use, name in use, no such disk, bitmap not found or
  /// busy, an enabled bitmap on a read-only export.
  public void add(NamedExport export) throws IOException {
    throw new UnsupportedOperationException(export.toString() + engine.disks() + deleted);
  }

  /// Takes one away. `SAFE` fails while it has clients; `HARD` disconnects them.
  public CompletableFuture<Void> remove(String id, Removal removal) {
    throw new UnsupportedOperationException(id + removal);
  }

  /// All of them, in the order they were added.
  public List<NamedExport> exports() {
    throw new UnsupportedOperationException();
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    throw new UnsupportedOperationException(name);
  }

  @Override
  public List<String> names(ClientIdentity client) {
    throw new UnsupportedOperationException();
  }

  /// QEMU's `BlockExportRemoveMode`.
  public enum Removal {
    SAFE,
    HARD
  }
}
