// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import java.io.IOException;
import tools.jackson.databind.JsonNode;

/// One QMP command.
public interface QmpCommand {

  /// What stands in `execute`.
  String name();

  /// The arguments it takes; whatever does not fit is refused before it is called.
  default QmpType.Struct arguments() {
    return QmpType.Struct.EMPTY;
  }

  /// What it returns.
  default QmpType returns() {
    return QmpType.Struct.EMPTY;
  }

  /// Does it, and returns what stands in `return`. May wait: it has the thread of its client.
  JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException;
}
