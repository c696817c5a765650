// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// `x-nbdfleece-bitmap-dump`: what is dirty in a bitmap, or since a checkpoint, now. A long answer
/// ends early and says in `next-offset` what `offset` to ask for next.
final class BitmapDump implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "FleecingBitmapDumpArguments",
          List.of(
              Member.of("node", STRING),
              Member.of("name", STRING),
              Member.optional("offset", SIZE)));

  @Override
  public String name() {
    return "x-nbdfleece-bitmap-dump";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return BitmapJson.DUMP_TYPE;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    String node = arguments.string("node");
    String name = arguments.string("name");
    long offsetBytes = arguments.optionalInteger("offset", 0, Long.MAX_VALUE).orElse(0);
    ObjectNode answer = Json.object().put("node", node).put("name", name);
    ObjectNode dump =
        BitmapJson.dump(
            target.engine().dirtySince(node, name), offsetBytes, BitmapJson.EXTENTS_MAX);
    answer.setAll(dump);
    return answer;
  }
}
