// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;

/// One [FuzzExport] of each kind, new ones for each session.
final class FuzzCatalog implements ExportCatalog {
  /// Names by kind; the empty name stands for the first.
  static final Map<String, FuzzExport.Kind> KINDS =
      Map.of(
          "disk", FuzzExport.Kind.DISK,
          "readonly", FuzzExport.Kind.READ_ONLY,
          "huge", FuzzExport.Kind.HUGE);

  private final AtomicLong connectedCount = new AtomicLong();
  private final AtomicLong disconnectedCount = new AtomicLong();
  private final Executor completions;
  private volatile Map<String, FuzzExport> exports = Map.of();

  FuzzCatalog(Executor completions) {
    this.completions = completions;
    renew();
  }

  /// Sessions that begin from now on find disks of their own.
  void renew() {
    exports =
        Map.of(
            "disk", counted(FuzzExport.Kind.DISK),
            "readonly", counted(FuzzExport.Kind.READ_ONLY),
            "huge", counted(FuzzExport.Kind.HUGE));
  }

  private FuzzExport counted(FuzzExport.Kind kind) {
    return new FuzzExport(kind, completions, connectedCount, disconnectedCount);
  }

  /// What the session that began last writes to.
  byte[] disk() {
    return export("disk").disk;
  }

  private FuzzExport export(String name) {
    FuzzExport export = exports.get(name.isEmpty() ? "disk" : name);
    if (export == null) {
      throw new IllegalArgumentException(name);
    }
    return export;
  }

  long connectedCount() {
    return connectedCount.get();
  }

  long disconnectedCount() {
    return disconnectedCount.get();
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    return name.isEmpty() || exports.containsKey(name)
        ? Optional.of(export(name))
        : Optional.empty();
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return List.of("disk", "huge", "readonly");
  }
}
