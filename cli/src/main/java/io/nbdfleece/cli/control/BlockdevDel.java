// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `blockdev-del`: takes a node away that nobody uses. A copy-before-write node's snapshot ends.
final class BlockdevDel implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct("BlockdevDelArguments", List.of(Member.of("node-name", STRING)));

  @Override
  public String name() {
    return "blockdev-del";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    String node = arguments.string("node-name");
    return GraphAnswer.done(() -> target.graph().delete(node));
  }
}
