// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.io.IOException;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The bitmap that a command is about, and the server that has it.
final class BitmapPlace {
  @Parameters(index = "0", paramLabel = "DISK", description = "The disk.")
  private String disk = "";

  @Parameters(index = "1", paramLabel = "NAME", description = "The bitmap.")
  private String name = "";

  @Mixin private final ControlOptions control = new ControlOptions();

  String disk() {
    return disk;
  }

  String name() {
    return name;
  }

  ControlOptions control() {
    return control;
  }

  /// As most commands of QMP take them.
  ObjectNode arguments() {
    return Json.object().put("node", disk).put("name", name);
  }

  /// Sends a command, and says that it was done.
  ///
  /// @param command its last word is what `--json` calls the action
  int execute(String command, ObjectNode arguments, String done) throws IOException {
    try (QmpClient client = control.connect()) {
      JsonNode _ = client.execute(command, arguments);
    }
    String action = command.substring(command.lastIndexOf('-') + 1);
    System.out.println(
        control.json()
            ? Json.pretty(Json.object().put("disk", disk).put("bitmap", name).put("action", action))
            : "bitmap " + ShownNames.of(name) + " of disk " + ShownNames.of(disk) + ": " + done);
    return 0;
  }
}
