// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.serve.LifeRequest;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/// How the process of `serve` is controlled and ends.
final class LifeOptions {
  @Option(
      names = "--qmp",
      paramLabel = "PATH",
      description =
          "Control socket (or NBDFLEECE_QMP). Default: $XDG_RUNTIME_DIR/nbdfleece/qmp.sock, else "
              + "/run/nbdfleece/qmp.sock for root, else /tmp/nbdfleece-UID/qmp.sock; a private one "
              + "with --run, -U - and sockets from a service manager.")
  private Optional<Path> qmp = Optional.empty();

  @Option(
      names = "--qmp-group",
      paramLabel = "GROUP",
      description = "Its members may use the control socket too; else its owner and root only.")
  private Optional<String> qmpGroup = Optional.empty();

  @Option(
      names = {"-P", "--pidfile"},
      paramLabel = "FILE",
      description = "Gets the process id when the server is ready.")
  private Optional<Path> pidFile = Optional.empty();

  @Option(
      names = "--run",
      paramLabel = "COMMAND",
      description =
          "Runs it with sh when the server is ready, with $$uri, $$nbd, $$port, $$unixsocket, "
              + "$$exportname, $$tls and $$qmp set, on a private socket unless an address is "
              + "given; ends with it, and with its exit code.")
  private Optional<String> run = Optional.empty();

  @Option(
      names = "--exit-with-parent",
      description = "Ends some seconds after the process that started it.")
  private boolean exitWithParent;

  LifeRequest request() {
    return new LifeRequest(qmp, qmpGroup, pidFile, run, exitWithParent);
  }
}
