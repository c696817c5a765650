// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.DiskStatistics;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A disk as the control socket shows it.
final class DiskJson {
  private DiskJson() {}

  static ObjectNode of(Disk disk, ControlTarget target) {
    DiskStatistics statistics = disk.statistics();
    ObjectNode json =
        Json.object()
            .put("name", disk.config().name())
            .put("path", disk.config().location())
            .put("access", WireName.of(disk.config().access()))
            .put("size-bytes", disk.sizeBytes())
            .put("clients", statistics.clients())
            .put("writes", statistics.writes())
            .put("write-errors", statistics.writeErrors())
            .put("preserves", statistics.preserves())
            .put("preserving-writes", statistics.preservingWrites())
            .put("preserve-nanos-total", statistics.preserveNanosTotal())
            .put("preserve-nanos-max", statistics.preserveNanosMax());
    ArrayNode uris = json.putArray("uris");
    target.uris(disk.config().name()).forEach(uris::add);
    return json;
  }
}
