// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.graph.NodeSpec;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `blockdev-reopen`: changes options of nodes, of all of them or of none.
final class BlockdevReopen implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "BlockdevReopenArguments",
          List.of(Member.of("options", new QmpType.ArrayOf(BlockdevTypes.OPTIONS))));

  @Override
  public String name() {
    return "blockdev-reopen";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    List<NodeSpec> specs = new ArrayList<>();
    for (QmpOptions options : QmpOptions.of(arguments, ARGUMENTS).objects("options")) {
      specs.add(BlockdevSpecs.read(options));
    }
    return GraphAnswer.done(() -> target.graph().reopen(specs));
  }
}
