// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-query-store`: RAM and disk tier of the cluster store.
final class QueryStore implements QmpCommand {
  @Override
  public String name() {
    return "x-nbdfleece-query-store";
  }

  @Override
  public QmpType returns() {
    return StoreJson.TYPE;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return StoreJson.of(target);
  }
}
