// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/// The cluster store as the control socket shows it.
final class StoreJson {
  static final QmpType.Struct TYPE =
      new QmpType.Struct(
          "FleecingStore",
          List.of(
              Member.of("started", STRING),
              Member.of("scratch-directory", STRING),
              Member.of("ram-bytes", INT64),
              Member.of("ram-bytes-max", INT64),
              Member.of("spilling-bytes", INT64),
              Member.of("disk-bytes", INT64),
              Member.of("disk-bytes-max", INT64),
              Member.of("entries", INT64),
              Member.of("preserved-bytes-total", INT64),
              Member.of("spilled-bytes-total", INT64),
              Member.of("released-bytes-total", INT64),
              Member.of("slot-waits-total", INT64),
              Member.of("used-bytes", INT64),
              Member.of("capacity-bytes", INT64),
              Member.optional("problem", STRING)));

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
            .put("slot-waits-total", statistics.slotWaitsTotal())
            .put("used-bytes", statistics.usedBytes())
            .put("capacity-bytes", statistics.capacityBytes());
    if (!statistics.problem().isEmpty()) {
      json.put("problem", statistics.problem());
    }
    return json;
  }
}
