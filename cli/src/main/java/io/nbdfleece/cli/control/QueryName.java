// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `query-name`: empty, as for a guest of QEMU that was given no name.
final class QueryName implements QmpCommand {
  private static final QmpType.Struct RETURNS =
      new QmpType.Struct("NameInfo", List.of(Member.optional("name", STRING)));

  @Override
  public String name() {
    return "query-name";
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return Json.object();
  }
}
