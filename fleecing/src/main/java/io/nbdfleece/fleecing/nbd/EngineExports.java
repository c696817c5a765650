// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.List;
import java.util.Optional;

/// The disks and snapshots of an engine as NBD exports: `vda` and `vda@nightly`. The empty name is
/// the disk when there is only one. Skeleton; to be written.
public final class EngineExports implements ExportCatalog {
  public EngineExports(FleecingEngine engine) {}

  @Override
  public Optional<Export> find(String name) {
    return Optional.empty();
  }

  @Override
  public List<String> names() {
    return List.of();
  }
}
