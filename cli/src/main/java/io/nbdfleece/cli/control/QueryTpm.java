// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `query-tpm`: no TPM. Backup tools ask before they start whether there is one to save.
final class QueryTpm implements QmpCommand {
  private static final QmpType RETURNS =
      new QmpType.ArrayOf(new QmpType.Struct("TPMInfo", List.of(Member.of("id", STRING))));

  @Override
  public String name() {
    return "query-tpm";
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return Json.array();
  }
}
