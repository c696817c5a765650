// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import tools.jackson.databind.JsonNode;

/// `query-status`: whether the server runs; QEMU's shape, because tools ask it first.
final class QueryStatus implements QmpCommand {
  @Override
  public String name() {
    return "query-status";
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return Json.object().put("running", true).put("status", "running");
  }
}
