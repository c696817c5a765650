// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cli.base.Json;
import tools.jackson.databind.node.ObjectNode;

/// The cluster store as the control socket shows it.
final class StoreJson {
  private StoreJson() {}

  static ObjectNode of(ControlTarget target) {
    ControlTarget.Store store = target.store();
    StoreStatistics statistics = store.statistics();
    ObjectNode json =
        Json.object()
            .put("started", target.started().toString())
            .put("scratch-directory", store.scratchDirectory().toString())
            .put("ram-bytes", statistics.ramBytes())
            .put("ram-bytes-max", statistics.ramBytesMax())
            .put("spilling-bytes", statistics.spillingBytes())
            .put("disk-bytes", statistics.diskBytes())
            .put("disk-bytes-max", statistics.diskBytesMax())
            .put("entries", statistics.entries())
            .put("preserved-bytes-total", statistics.preservedBytesTotal())
            .put("spilled-bytes-total", statistics.spilledBytesTotal())
            .put("released-bytes-total", statistics.releasedBytesTotal())
            .put("slot-waits-total", statistics.slotWaitsTotal());
    if (!statistics.problem().isEmpty()) {
      json.put("problem", statistics.problem());
    }
    return json;
  }
}
