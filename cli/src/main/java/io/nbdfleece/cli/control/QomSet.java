// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.ANY;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `qom-set`: puts a guest's device on another node of its disk (`drive`), or changes the limits of
/// a throttle group (`limits`).
final class QomSet implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "QomSetArguments",
          List.of(
              Member.of("path", STRING), Member.of("property", STRING), Member.of("value", ANY)));

  @Override
  public String name() {
    return "qom-set";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpOptions options = QmpOptions.of(arguments, ARGUMENTS);
    String path = options.string("path");
    String property = options.string("property");
    JsonNode value = options.required("value");
    return GraphAnswer.done(() -> new QomProperties(target.graph()).set(path, property, value));
  }
}
