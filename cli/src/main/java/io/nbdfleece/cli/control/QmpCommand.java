// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.io.IOException;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/// One QMP command.
interface QmpCommand {

  /// What stands in `execute`.
  String name();

  /// The arguments it takes; any other is refused before it is called.
  default Set<String> argumentNames() {
    return Set.of();
  }

  /// Does it, and returns what stands in `return`. May wait: it has the thread of its client.
  JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException;
}
