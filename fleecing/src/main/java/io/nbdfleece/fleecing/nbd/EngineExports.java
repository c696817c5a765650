// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The disks and snapshots of an engine as NBD exports: `vda` and `vda@nightly`. The empty name is
/// the disk when there is only one.
public final class EngineExports implements ExportCatalog {
  private final FleecingEngine engine;

  public EngineExports(FleecingEngine engine) {
    this.engine = engine;
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    int at = name.indexOf('@');
    if (at >= 0) {
      String disk = name.substring(0, at);
      return engine
          .takenSnapshot(name.substring(at + 1))
          .flatMap(snapshot -> export(snapshot, disk));
    }
    if (name.isEmpty()) {
      List<ServedDisk> disks = engine.servedDisks();
      return disks.size() == 1 ? Optional.of(export(disks.getFirst())) : Optional.empty();
    }
    return engine.disk(name).map(this::export);
  }

  private Export export(ServedDisk disk) {
    return new DiskExport(disk, engine.config().clusterBytes());
  }

  private Optional<Export> export(Snapshot snapshot, String disk) {
    return snapshot
        .part(disk)
        .map(part -> new SnapshotExport(snapshot, part, engine.config().clusterBytes()));
  }

  @Override
  public List<String> names(ClientIdentity client) {
    List<String> names = new ArrayList<>();
    for (ServedDisk disk : engine.servedDisks()) {
      names.add(disk.config().name());
    }
    for (Snapshot snapshot : engine.takenSnapshots()) {
      for (Snapshot.Part part : snapshot.parts()) {
        names.add(part.disk().config().name() + "@" + snapshot.name());
      }
    }
    return names;
  }
}
