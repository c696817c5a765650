// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import tools.jackson.databind.JsonNode;

/// `x-nbdfleece-query-store`: RAM and disk tier of the cluster store.
final class QueryStore implements QmpCommand {
  @Override
  public String name() {
    return "x-nbdfleece-query-store";
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return StoreJson.of(target);
  }
}
