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

/// `x-nbdfleece-query-bitmaps`: the bitmaps of one disk or of all, the stretches of checkpoints
/// included. `count` is what is dirty, in bytes, as QEMU has it.
final class QueryBitmaps implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct("QueryFleecingBitmaps", List.of(Member.optional("node", STRING)));

  @Override
  public String name() {
    return "x-nbdfleece-query-bitmaps";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(BitmapJson.BITMAP_TYPE);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    ArrayNode list = Json.array();
    for (String disk : DiskNames.oneOrAll(arguments.optionalString("node"), target)) {
      target.engine().bitmaps(disk).forEach(bitmap -> list.add(BitmapJson.of(disk, bitmap)));
    }
    return list;
  }
}
