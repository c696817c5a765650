// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.control.QmpClient;
import io.nbdfleece.cli.shell.QmpShell;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `nbdfleece qmp`.
@Command(
    name = "qmp",
    description = {
      "Sends QMP commands to the server and prints what they return.",
      "Without COMMAND it is a shell with history and completion; without a terminal it runs the",
      "lines of standard input.",
      "A command is JSON, or qmp-shell's syntax: NAME ARGUMENT=VALUE …, e.g.",
      "  nbdfleece qmp block-dirty-bitmap-add node=vda name=b0 granularity=65536",
      "VALUE: a number, true, false, null, JSON, else a string; a.b=VALUE is a member of a member."
    })
final class QmpShellCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "COMMAND",
      arity = "0..*",
      description = "JSON, or a name and arguments.")
  private List<String> words = List.of();

  @Mixin private final ControlOptions control = new ControlOptions();

  @Override
  public Integer call() throws IOException {
    try (QmpClient client = control.connect()) {
      QmpShell shell = new QmpShell(client, System.out);
      if (!words.isEmpty()) {
        shell.one(words);
      } else if (Terminal.isInTerminal()) {
        shell.interactive(control.path(), history(System.getenv()));
      } else {
        shell.script(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)));
      }
    }
    return 0;
  }

  static Path history(Map<String, String> environment) {
    String state = environment.getOrDefault("XDG_STATE_HOME", "");
    Path base =
        state.isEmpty()
            ? Path.of(environment.getOrDefault("HOME", "/"), ".local", "state")
            : Path.of(state);
    return base.resolve("nbdfleece").resolve("qmp_history");
  }
}
