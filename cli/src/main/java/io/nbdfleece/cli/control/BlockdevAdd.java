// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import java.io.IOException;
import tools.jackson.databind.JsonNode;

/// `blockdev-add`: adds a node, and those written inside of it.
final class BlockdevAdd implements QmpCommand {
  @Override
  public String name() {
    return "blockdev-add";
  }

  @Override
  public QmpType.Struct arguments() {
    return BlockdevTypes.OPTIONS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpOptions options = QmpOptions.of(arguments, BlockdevTypes.OPTIONS);
    return GraphAnswer.done(() -> target.graph().add(BlockdevSpecs.read(options)));
  }
}
