// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/// Runs other people's programs.
final class Tool {
  private static final int RUN_SECONDS_MAX = 300;
  private static final int STOP_SECONDS_MAX = 30;

  private Tool() {}

  /// Runs it and returns what it printed. Kills it when it hangs.
  static String run(List<String> command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    CompletableFuture<Process> done = process.onExit();
    var _ =
        done.orTimeout(RUN_SECONDS_MAX, TimeUnit.SECONDS)
            .exceptionally(_ -> process.destroyForcibly());
    process.getOutputStream().close();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException(failure(command, "exit " + process.exitValue(), out));
    }
    return out;
  }

  /// Runs it, kills it after that time. Returns the seconds that it took.
  static double seconds(List<String> command, int secondsMax)
      throws IOException, InterruptedException {
    long startNanos = System.nanoTime();
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    process.getOutputStream().close();
    if (!process.waitFor(secondsMax, TimeUnit.SECONDS)) {
      int _ = process.destroyForcibly().waitFor();
      throw new IOException(failure(command, "not done after " + secondsMax + " s", ""));
    }
    double seconds = (System.nanoTime() - startNanos) / 1e9;
    if (process.exitValue() != 0) {
      throw new IOException(failure(command, "exit " + process.exitValue(), ""));
    }
    return seconds;
  }

  /// What went wrong: in the first line the program, what, and its last word; then everything.
  static String failure(List<String> command, String what, String out) {
    String last = out.lines().filter(line -> !line.isBlank()).reduce("", (_, line) -> line);
    return Path.of(command.getFirst()).getFileName()
        + ": "
        + what
        + (last.isEmpty() ? "" : ": " + last.strip())
        + "\n"
        + String.join(" ", command)
        + "\n"
        + out;
  }

  static void stop(Process process) throws InterruptedException {
    process.destroy();
    if (!process.waitFor(STOP_SECONDS_MAX, TimeUnit.SECONDS)) {
      int _ = process.destroyForcibly().waitFor();
    }
  }
}
