// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/// The command of `--run`: the server lives as long as it does, and it no longer than the server.
/// It has our standard input, output and error, and our environment but for what was meant for us.
final class CaptiveCommand {
  private static final System.Logger LOG = System.getLogger("nbdfleece.serve");
  private static final long TERMINATION_SECONDS = 5;

  /// What a service manager says to one process only.
  private static final Set<String> OURS =
      Set.of(
          "LISTEN_PID",
          "LISTEN_FDS",
          "LISTEN_FDNAMES",
          "NOTIFY_SOCKET",
          "WATCHDOG_PID",
          "WATCHDOG_USEC");

  private final Process process;

  private CaptiveCommand(Process process) {
    this.process = process;
  }

  /// @param ended called when the command ends, on a thread that must not wait
  static CaptiveCommand start(String command, Map<String, String> variables, Runnable ended)
      throws IOException {
    ProcessBuilder builder = new ProcessBuilder("/bin/sh", "-c", command).inheritIO();
    builder.environment().keySet().removeAll(OURS);
    builder.environment().putAll(variables);
    Process process = builder.start();
    var _ = process.onExit().thenRun(ended);
    return new CaptiveCommand(process);
  }

  /// Its exit status, 128 and the number if a signal ended it. When it is still running it is asked
  /// to end (SIGTERM, its children too), and killed if it does not within 5 s.
  int end() {
    if (process.isAlive()) {
      LOG.log(Level.INFO, "the server ends before the command: ending the command");
      List<ProcessHandle> children = process.descendants().toList();
      // The shell first: one whose child has ended goes on with what comes behind it.
      terminate(process.toHandle());
      children.forEach(CaptiveCommand::terminate);
    }
    boolean interrupted = false;
    while (true) {
      try {
        if (!process.waitFor(TERMINATION_SECONDS, TimeUnit.SECONDS)) {
          LOG.log(Level.WARNING, "the command does not end: killing it");
          kill();
          continue;
        }
        break;
      } catch (InterruptedException e) {
        interrupted = true;
        var _ = process.destroyForcibly();
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return process.exitValue();
  }

  /// Kills it and its children (SIGKILL), without waiting.
  void kill() {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    var _ = process.destroyForcibly();
  }

  private static void terminate(ProcessHandle process) {
    // It may have ended by itself meanwhile.
    boolean _ = process.destroy();
  }
}
