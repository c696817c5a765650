// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.BOOLEAN;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `query-status`: as QEMU answers it for a guest that runs.
final class QueryStatus implements QmpCommand {
  private static final QmpType.Struct RETURNS =
      new QmpType.Struct(
          "StatusInfo",
          List.of(
              Member.of("running", BOOLEAN),
              Member.of("status", new QmpType.Enumeration("RunState", List.of("running")))));

  @Override
  public String name() {
    return "query-status";
  }

  @Override
  public QmpType returns() {
    return RETURNS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return Json.object().put("running", true).put("status", "running");
  }
}
