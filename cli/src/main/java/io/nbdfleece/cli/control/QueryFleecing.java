// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// `query-fleecing`: all snapshots, oldest first.
final class QueryFleecing implements QmpCommand {
  @Override
  public String name() {
    return "query-fleecing";
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(SnapshotJson.TYPE);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    ArrayNode list = Json.array();
    target.snapshots().forEach(status -> list.add(SnapshotJson.of(status, target)));
    return list;
  }
}
