// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import tools.jackson.databind.JsonNode;

/// `nbd-server-stop`: disconnects all clients of that server and deletes all exports that were
/// added.
final class NbdServerStop implements QmpCommand {
  @Override
  public String name() {
    return "nbd-server-stop";
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    target.nbd().stop();
    return Json.object();
  }
}
