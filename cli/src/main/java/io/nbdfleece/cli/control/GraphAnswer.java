// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.fleecing.graph.GraphException;
import java.io.IOException;
import tools.jackson.databind.JsonNode;

/// What QMP answers when the graph refuses.
final class GraphAnswer {
  private GraphAnswer() {}

  /// Something that answers nothing but that it was done.
  interface Change {
    void run() throws IOException;
  }

  /// Something that answers with a value.
  interface Question {
    JsonNode run() throws IOException;
  }

  static JsonNode done(Change change) throws IOException {
    return of(
        () -> {
          change.run();
          return Json.object();
        });
  }

  static JsonNode of(Question question) throws IOException {
    try {
      return question.run();
    } catch (GraphException e) {
      throw switch (e.reason()) {
        case NO_DEVICE ->
            new QmpException(
                QmpException.ErrorClass.DEVICE_NOT_FOUND, Messages.of(e), ExitCode.NOT_FOUND);
        case NOT_FOUND -> generic(e, ExitCode.NOT_FOUND);
        case BUSY -> generic(e, ExitCode.BUSY);
        case INVALID -> generic(e, ExitCode.FAILED);
      };
    }
  }

  private static QmpException generic(GraphException e, ExitCode exitCode) {
    return new QmpException(QmpException.ErrorClass.GENERIC_ERROR, Messages.of(e), exitCode);
  }
}
