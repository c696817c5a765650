// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.Durations;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/// The process: parse, run, report, exit.
public final class Main {
  private Main() {}

  /// Ends the process with the exit code of the command.
  public static void main(String[] arguments) {
    System.exit(run(arguments));
  }

  /// Runs one command and returns its exit code. Everything it prints goes to `System.out` and
  /// `System.err`.
  static int run(String... arguments) {
    Subcommand.named(arguments.length == 0 ? "" : arguments[0]).ifPresent(HeadStart::of);
    if (isUnknown(arguments)) {
      // picocli would show the general help when it finds a --help behind it.
      String message = noCommand(arguments[0], commands().getCommandSpec());
      return ErrorReport.print(
          ExitCode.USAGE, message + ": see `nbdfleece --help`", wantsJson(List.of(arguments)));
    }
    CommandLine commands = commandsFor(arguments);
    commands.setParameterExceptionHandler(Main::wrongArguments);
    commands.setExecutionExceptionHandler(
        (error, command, parsed) -> ErrorReport.print(error, wantsJson(List.of(arguments))));
    return commands.execute(arguments);
  }

  private static boolean isUnknown(String[] arguments) {
    return arguments.length > 0
        && !arguments[0].startsWith("-")
        && Subcommand.named(arguments[0]).isEmpty();
  }

  /// All commands, ready to parse.
  static CommandLine commands() {
    return commands(List.of(Subcommand.values()));
  }

  /// What these arguments need: mostly one command. The others are not even loaded, which takes a
  /// good part of the time that it takes to start.
  private static CommandLine commandsFor(String[] arguments) {
    return arguments.length == 0
        ? commands()
        : Subcommand.named(arguments[0])
            .map(one -> commands(List.of(one)))
            .orElseGet(Main::commands);
  }

  private static CommandLine commands(List<Subcommand> subcommands) {
    CommandLine commands = new CommandLine(new NbdfleeceCommand());
    for (Subcommand subcommand : subcommands) {
      commands.addSubcommand(subcommand.command());
    }
    commands.registerConverter(ByteSize.class, text -> converted(text, ByteSize::parse));
    commands.registerConverter(Duration.class, text -> converted(text, Durations::parse));
    commands.registerConverter(
        CbwErrorPolicy.class, text -> converted(text, CbwErrorPolicy::parse));
    commands.registerConverter(int.class, text -> wholeNumber(text, Integer::valueOf));
    commands.registerConverter(Integer.class, text -> wholeNumber(text, Integer::valueOf));
    commands.registerConverter(long.class, text -> wholeNumber(text, Long::valueOf));
    commands.registerConverter(Long.class, text -> wholeNumber(text, Long::valueOf));
    commands.setCaseInsensitiveEnumValuesAllowed(true);
    commands.setUsageHelpWidth(100);
    commands.setUsageHelpLongOptionsMaxWidth(28);
    return commands;
  }

  private static <T> T wholeNumber(String text, Function<String, T> parse) {
    try {
      return parse.apply(text);
    } catch (NumberFormatException e) {
      throw new CommandLine.TypeConversionException(
          "'" + text + "' (expected: a whole number that is not too large)");
    }
  }

  private static <T> T converted(String text, Function<String, T> parse) {
    try {
      return parse.apply(text);
    } catch (IllegalArgumentException e) {
      throw new CommandLine.TypeConversionException(Messages.of(e));
    }
  }

  private static int wrongArguments(ParameterException error, String[] arguments) {
    CommandSpec command = error.getCommandLine().getCommandSpec();
    String message =
        (error instanceof UnmatchedArgumentException unmatched
                ? unmatched(unmatched, command)
                : decapitalised(Messages.of(error)))
            + ": see `"
            + command.qualifiedName()
            + " --help`";
    return ErrorReport.print(ExitCode.USAGE, message, wantsJson(Arrays.asList(arguments)));
  }

  /// What comes first of what nobody wanted; the rest may be right for the command that was meant.
  private static String unmatched(UnmatchedArgumentException error, CommandSpec command) {
    String word = error.getUnmatched().getFirst();
    if (error.isUnknownOption()) {
      String name = word.split("=", 2)[0];
      return decapitalised(Messages.of(error)) + meant(name, command.optionsMap().keySet());
    }
    return command.subcommands().isEmpty()
        ? "argument not expected: '" + word + "'"
        : noCommand(word, command);
  }

  /// There is no command of that name below this one.
  static String noCommand(String word, CommandSpec above) {
    List<String> words =
        above.subcommands().values().stream()
            .map(CommandLine::getCommandSpec)
            .filter(command -> !command.usageMessage().hidden())
            .map(CommandSpec::name)
            .toList();
    return "no command '" + word + "'" + meant(word, words);
  }

  private static String meant(String word, Collection<String> words) {
    return NearestWord.to(word, words).map(near -> " (did you mean " + near + "?)").orElse("");
  }

  private static boolean wantsJson(List<String> arguments) {
    int end = arguments.indexOf("--");
    return (end < 0 ? arguments : arguments.subList(0, end)).contains("--json");
  }

  private static String decapitalised(String text) {
    return text.isEmpty() ? text : Character.toLowerCase(text.charAt(0)) + text.substring(1);
  }
}
