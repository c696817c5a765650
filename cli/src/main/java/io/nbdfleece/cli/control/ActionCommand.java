// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `block-dirty-bitmap-add` and its siblings: a transaction of one step.
record ActionCommand(ActionKind kind) implements QmpCommand {
  @Override
  public String name() {
    return kind.name();
  }

  @Override
  public QmpType.Struct arguments() {
    return kind.data();
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    var _ = EngineAnswer.transact(target, List.of(kind.reader().read(arguments, target)));
    return Json.object();
  }
}
