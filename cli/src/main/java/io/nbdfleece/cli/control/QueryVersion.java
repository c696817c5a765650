// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import tools.jackson.databind.JsonNode;

/// `query-version`: which program and version this is.
final class QueryVersion implements QmpCommand {
  @Override
  public String name() {
    return "query-version";
  }

  @Override
  public QmpType returns() {
    return VersionJson.TYPE;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return VersionJson.of();
  }
}
