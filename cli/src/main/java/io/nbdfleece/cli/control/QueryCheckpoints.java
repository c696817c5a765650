// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;

/// `x-nbdfleece-query-checkpoints`: the checkpoints of one disk or of all, oldest first.
/// `since-dirty-bytes` is what the next incremental from it would copy.
final class QueryCheckpoints implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct("QueryFleecingCheckpoints", List.of(Member.optional("disk", STRING)));

  @Override
  public String name() {
    return "x-nbdfleece-query-checkpoints";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(BitmapJson.CHECKPOINT_TYPE);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    ArrayNode list = Json.array();
    for (String disk : DiskNames.oneOrAll(arguments.optionalString("disk"), target)) {
      target.engine().checkpoints(disk).forEach(checkpoint -> list.add(BitmapJson.of(checkpoint)));
    }
    return list;
  }
}
