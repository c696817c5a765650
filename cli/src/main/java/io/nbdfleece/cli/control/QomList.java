// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `qom-list`: the properties of an object, and what is below it.
final class QomList implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct("QomListArguments", List.of(Member.of("path", STRING)));
  private static final QmpType.Struct PROPERTY =
      new QmpType.Struct(
          "ObjectPropertyInfo", List.of(Member.of("name", STRING), Member.of("type", STRING)));

  @Override
  public String name() {
    return "qom-list";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return new QmpType.ArrayOf(PROPERTY);
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    String path = arguments.string("path");
    return GraphAnswer.of(() -> new QomProperties(target.graph()).list(path));
  }
}
