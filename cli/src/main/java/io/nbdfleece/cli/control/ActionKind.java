// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.fleecing.TransactionAction;
import java.io.IOException;

/// A step that a transaction can have; most are commands of their own too.
///
/// @param name of the action and of the command
/// @param data arguments of the command, `data` of the action
record ActionKind(String name, QmpType.Struct data, Reader reader) {

  /// Turns arguments into what the engine does.
  interface Reader {
    TransactionAction read(QmpArguments data, ControlTarget target) throws IOException;
  }
}
