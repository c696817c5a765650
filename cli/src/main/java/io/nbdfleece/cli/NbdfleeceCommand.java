// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/// `nbdfleece` itself: shows what there is.
@Command(
    name = "nbdfleece",
    description = "Freezes a disk that is being written and exports the frozen view over NBD.",
    synopsisSubcommandLabel = "COMMAND",
    versionProvider = VersionCommand.Provider.class,
    footerHeading = "%nExit codes:%n",
    footer = {
      "    0  ok",
      "    1  failed",
      "    2  no, as an answer to info --is or --can",
      "    3  the snapshot broke, or was released, while it was pulled",
      "    4  bitmap or checkpoint inconsistent: the next backup must be full",
      "   10  no such disk, export, snapshot, bitmap, checkpoint or file",
      "   11  in use: disk locked, bitmap busy, name, port, socket or target file taken",
      "   12  TLS: certificate, key or identity refused, or TLS needed",
      "   64  wrong arguments",
      "   69  server not reachable, or no JDK 25",
      "  130  interrupted",
      "",
      "Start with: nbdfleece demo"
    },
    exitCodeOnInvalidInput = 64,
    exitCodeOnExecutionException = 1)
final class NbdfleeceCommand {
  // picocli acts on these two itself.
  @SuppressWarnings("UnusedVariable")
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      scope = ScopeType.INHERIT,
      description = "Shows this help.")
  private boolean help;

  @SuppressWarnings("UnusedVariable")
  @Option(
      names = {"-V", "--version"},
      versionHelp = true,
      description = "Shows the version.")
  private boolean version;
}
