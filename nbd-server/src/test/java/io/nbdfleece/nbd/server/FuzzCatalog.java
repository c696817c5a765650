// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;

/// One [FuzzExport] of each kind, new ones for each client that opens one, so that a client that
/// has gone, whose last bytes are still being worked on, changes no other one's disk.
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
  private final Queue<byte[]> disks = new ConcurrentLinkedQueue<>();

  FuzzCatalog(Executor completions) {
    this.completions = completions;
  }

  /// Forgets the disks of earlier sessions.
  void renew() {
    disks.clear();
  }

  /// What has been opened since, among it the disk of the session that has just ended.
  List<byte[]> disks() {
    return List.copyOf(disks);
  }

  /// An export has been opened.
  void connected(byte[] disk) {
    disks.add(disk);
    connectedCount.incrementAndGet();
  }

  void disconnected() {
    disconnectedCount.incrementAndGet();
  }

  long connectedCount() {
    return connectedCount.get();
  }

  long disconnectedCount() {
    return disconnectedCount.get();
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    return Optional.ofNullable(KINDS.get(name.isEmpty() ? "disk" : name))
        .map(kind -> new FuzzExport(kind, completions, this));
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return List.of("disk", "huge", "readonly");
  }
}
