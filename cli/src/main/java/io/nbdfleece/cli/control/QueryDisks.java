// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// `x-nbdfleece-query-disks`: the disks served and what guests did on them.
final class QueryDisks implements QmpCommand {
  @Override
  public String name() {
    return "x-nbdfleece-query-disks";
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(DiskJson.TYPE);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    ArrayNode list = Json.array();
    target.disks().forEach(disk -> list.add(DiskJson.of(disk, target)));
    return list;
  }
}
