// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/// `nbdfleece help`. Not picocli's own, whose options clash with an inherited `--help`.
@Command(name = "help", description = "Shows the help of a command.")
final class HelpCommand implements Callable<Integer> {
  @Parameters(paramLabel = "COMMAND", arity = "0..1", description = "The command.")
  private Optional<String> name = Optional.empty();

  @Override
  public Integer call() throws CommandFailure {
    CommandLine program = Main.commands();
    CommandLine helped = name.isEmpty() ? program : program.getSubcommands().get(name.get());
    if (helped == null) {
      throw new CommandFailure(
          ExitCode.USAGE,
          Main.noCommand(name.get(), program.getCommandSpec()) + ": see `nbdfleece --help`");
    }
    helped.usage(System.out);
    return 0;
  }
}
