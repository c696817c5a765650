// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.SnapshotStatus;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A snapshot as the control socket shows it.
final class SnapshotJson {
  private SnapshotJson() {}

  static ObjectNode of(SnapshotStatus status, ControlTarget target) {
    ObjectNode json =
        Json.object()
            .put("name", status.name())
            .put("created", status.created().toString())
            .put("freeze-nanos", status.freezeTime().toNanos())
            .put("access", WireName.of(status.access()))
            .put("on-cbw-error", WireName.of(status.onCbwError()))
            .put("broken", status.broken());
    ArrayNode disks = json.putArray("disks");
    status.disks().forEach(disk -> disks.add(of(disk, target)));
    return json;
  }

  private static ObjectNode of(SnapshotStatus.PerDisk disk, ControlTarget target) {
    ObjectNode json =
        Json.object()
            .put("disk", disk.disk())
            .put("export", disk.exportName())
            .put("size-bytes", disk.sizeBytes())
            .put("preserved-bytes", disk.preservedBytes())
            .put("ram-bytes", disk.ramBytes())
            .put("disk-bytes", disk.diskBytes())
            .put("released-bytes", disk.releasedBytes())
            .put("lost-bytes", disk.lostBytes())
            .put("clients", disk.clients());
    disk.brokenBecause().ifPresent(reason -> json.put("broken-because", reason));
    ArrayNode uris = json.putArray("uris");
    target.uris(disk.exportName()).forEach(uris::add);
    return json;
  }
}
