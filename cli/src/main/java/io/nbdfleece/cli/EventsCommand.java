// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.QmpClient;
import io.nbdfleece.cli.shell.EventText;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import tools.jackson.databind.node.ObjectNode;

/// `nbdfleece events`.
@Command(
    name = "events",
    description = {
      "Shows what happens on the server, a line each, until Ctrl-C or the server's end.",
      "With --json each line is the QMP event as it came."
    })
final class EventsCommand implements Callable<Integer> {
  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    try (QmpClient client = control.connect()) {
      while (true) {
        ObjectNode message = client.receive();
        if (!message.has("event")) {
          continue;
        }
        System.out.println(control.json() ? Json.line(message) : EventText.of(message));
        if (message.path("event").asString().equals("SHUTDOWN")) {
          return 0;
        }
      }
    }
  }
}
