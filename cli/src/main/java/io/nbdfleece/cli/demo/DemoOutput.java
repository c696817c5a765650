// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.pull.Progress;
import io.nbdfleece.cli.pull.ProgressBar;
import java.io.PrintStream;
import java.util.Locale;
import tools.jackson.databind.node.ObjectNode;

/// What a person sees of the demo: one ✓ line per step. With `--json` only the figures at the end.
final class DemoOutput {
  private final PrintStream out;
  private final boolean json;
  private final boolean terminal;
  private final int columns;
  private final ObjectNode figures = Json.object();

  DemoOutput(PrintStream out, boolean json, boolean terminal, int columns) {
    this.out = out;
    this.json = json;
    this.terminal = terminal;
    this.columns = columns;
  }

  void line(String text) {
    if (!json) {
      out.println(text);
      out.flush();
    }
  }

  /// A step that is done.
  void done(String step, String text) {
    line(String.format(Locale.ROOT, " ✓ %-10s %s", step, text));
  }

  /// More about the step before.
  void more(String text) {
    line(" ".repeat(14) + text);
  }

  /// The figures, printed by [#finish].
  ObjectNode figures() {
    return figures;
  }

  Progress progress() {
    return terminal && !json ? new ProgressBar(out, columns, "   ") : Progress.none();
  }

  void finish() {
    if (json) {
      out.println(Json.pretty(figures));
      out.flush();
    }
  }
}
