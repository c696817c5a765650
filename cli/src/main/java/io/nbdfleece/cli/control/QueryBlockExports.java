// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.nbd.NamedExport;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `query-block-exports`: the exports that were added.
final class QueryBlockExports implements QmpCommand {
  private static final QmpType RETURNS =
      new QmpType.ArrayOf(
          new QmpType.Struct(
              "BlockExportInfo",
              List.of(
                  Member.of("id", STRING),
                  Member.of("type", BlockExportAdd.TYPE),
                  Member.of("node-name", STRING),
                  Member.of("shutting-down", BOOLEAN))));

  @Override
  public String name() {
    return "query-block-exports";
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    ArrayNode list = Json.array();
    for (NamedExport export : target.addedExports()) {
      ObjectNode _ =
          list.addObject()
              .put("node-name", export.node())
              .put("shutting-down", target.isShuttingDown(export.id()))
              .put("type", "nbd")
              .put("id", export.id());
    }
    return list;
  }
}
