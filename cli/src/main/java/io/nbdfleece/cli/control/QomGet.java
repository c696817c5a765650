// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.ANY;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `qom-get`: the node that a guest's device stands on (`drive`), or limits of a throttle group.
final class QomGet implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "QomGetArguments", List.of(Member.of("path", STRING), Member.of("property", STRING)));

  @Override
  public String name() {
    return "qom-get";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return ANY;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    String path = arguments.string("path");
    String property = arguments.string("property");
    return GraphAnswer.of(() -> new QomProperties(target.graph()).get(path, property));
  }
}
