// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.Snapshot;
import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/// The exports of a simulation, `DISK` and `DISK@SNAPSHOT`. A client asks for `NAME#N`, so that it
/// can be told that it has gone: nothing of it is in flight then.
public final class SimulatedExports implements ExportCatalog {
  private static final int PREFERRED_BLOCK_BYTES = 4096;

  private final Map<String, Supplier<Export>> exports = new LinkedHashMap<>();
  private final IntConsumer left;

  /// @param left told the number of a client that had an export open and has gone
  public SimulatedExports(IntConsumer left) {
    this.left = left;
  }

  public void add(ServedDisk disk) {
    exports.put(disk.config().name(), () -> DiskExport.of(disk, PREFERRED_BLOCK_BYTES));
  }

  public void add(Snapshot snapshot, Snapshot.Part part) {
    exports.put(
        nameOf(snapshot, part), () -> SnapshotExport.of(snapshot, part, PREFERRED_BLOCK_BYTES));
  }

  public void remove(Snapshot snapshot, Snapshot.Part part) {
    exports.remove(nameOf(snapshot, part));
  }

  public static String nameOf(Snapshot snapshot, Snapshot.Part part) {
    return part.disk().config().name() + "@" + snapshot.name();
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    int at = name.indexOf('#');
    Supplier<Export> export = exports.get(name.substring(0, at));
    int number = Integer.parseInt(name.substring(at + 1));
    return export == null
        ? Optional.empty()
        : Optional.of(new ClientExport(export.get(), _ -> true, _ -> left.accept(number)));
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return List.copyOf(exports.keySet());
  }
}
