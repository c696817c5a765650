// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.Disk;
import io.nbdfleece.fleecing.DiskStatistics;
import io.nbdfleece.fleecing.hook.BudgetStep;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// A disk as the control socket shows it.
final class DiskJson {
  /// What is given up for the budget of guest writes.
  static final QmpType.Enumeration BUDGET_STEP =
      new QmpType.Enumeration("WriteBudgetStep", WireName.all(BudgetStep.class));

  static final QmpType.Struct TYPE =
      new QmpType.Struct(
          "FleecingDisk",
          List.of(
              Member.of("name", STRING),
              Member.of("path", STRING),
              Member.of("access", STRING),
              Member.of("size-bytes", INT64),
              Member.of("clients", INT64),
              Member.of("writes", INT64),
              Member.of("write-errors", INT64),
              Member.of("preserves", INT64),
              Member.of("preserving-writes", INT64),
              Member.of("preserve-nanos-total", INT64),
              Member.of("preserve-nanos-max", INT64),
              Member.of("slowed-writes", INT64),
              Member.of("slowed-nanos-total", INT64),
              Member.of("write-budget", BUDGET_STEP),
              Member.optional("damage", STRING),
              Member.optional("displacement", STRING),
              Member.of("uris", new QmpType.ArrayOf(STRING))));

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
            .put("preserve-nanos-max", statistics.preserveNanosMax())
            .put("slowed-writes", statistics.slowedWrites())
            .put("slowed-nanos-total", statistics.slowedNanosTotal())
            .put("write-budget", WireName.of(statistics.budgetStep()));
    disk.damage().ifPresent(damage -> json.put("damage", damage));
    disk.displacement().ifPresent(displacement -> json.put("displacement", displacement));
    ArrayNode uris = json.putArray("uris");
    if (disk.config().isExported()) {
      target.uris(disk.config().name()).forEach(uris::add);
    }
    return json;
  }
}
