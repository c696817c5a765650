// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import tools.jackson.databind.JsonNode;

/// `quit`: ends the server as SIGTERM does. The session does it, after the answer was sent.
final class Quit implements QmpCommand {
  static final String NAME = "quit";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) {
    return Json.object();
  }
}
