// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `object-del`: takes a throttle group away that no node uses.
final class ObjectDel implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct("ObjectDelArguments", List.of(Member.of("id", STRING)));

  @Override
  public String name() {
    return "object-del";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    String id = arguments.string("id");
    return GraphAnswer.done(() -> target.graph().deleteThrottleGroup(id));
  }
}
