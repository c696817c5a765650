// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.ByteSize;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/// What README.md says of commands, options, limits and exit codes, against the program.
final class ReadmeTest {
  private static final Pattern CALL = Pattern.compile("nbdfleece (?<command>[a-z-]+)(?<rest>.*)");
  private static final Pattern QUOTED = Pattern.compile("'[^']*'|\"[^\"]*\"");
  private static final Pattern END_OF_CALL = Pattern.compile("[`#;&|)\\]]");
  private static final Pattern OPTION = Pattern.compile("(?<=\\s)--?[A-Za-z][A-Za-z-]*");
  private static final Pattern CODE = Pattern.compile("`([^`]+)`");

  private final CommandLine program = Main.commands();
  private List<String> lines = List.of();

  @BeforeEach
  void read() throws IOException {
    lines =
        Files.readAllLines(
            Path.of(System.getProperty("nbdfleece.root", "..")).resolve("README.md"));
  }

  @Test
  void everyCommandAndOptionThatItCallsExists() {
    List<String> wrong = new ArrayList<>();
    int calls = 0;
    for (String line : lines) {
      Matcher call = CALL.matcher(QUOTED.matcher(line).replaceAll("''"));
      while (call.find()) {
        String command = call.group("command");
        if (command.equals("bench") || !isCall(line, command)) {
          continue;
        }
        calls++;
        if (!program.getSubcommands().containsKey(command)) {
          wrong.add(command + ": " + line);
          continue;
        }
        Set<String> options = optionsOf(command);
        Matcher option = OPTION.matcher(END_OF_CALL.split(call.group("rest"), 2)[0]);
        while (option.find()) {
          if (!options.contains(option.group())) {
            wrong.add(command + " " + option.group() + ": " + line);
          }
        }
      }
    }
    assertEquals(List.of(), wrong);
    assertTrue(calls > 50, "calls found: " + calls);
  }

  @Test
  void tableOfServeHasEveryOption() {
    Set<String> told = new TreeSet<>();
    for (List<String> row : rows("## Options of `serve`", "option")) {
      Matcher code = CODE.matcher(row.get(0));
      while (code.find()) {
        if (code.group(1).startsWith("-")) {
          told.add(code.group(1).split(" ", 2)[0]);
        }
      }
    }
    Set<String> there = new TreeSet<>(optionsOf("serve"));
    there.removeAll(Set.of("-h", "--help", "--json", "--version", "-V"));
    assertEquals(there, told);
  }

  @Test
  void tableOfLimitsHasTheirDefaultsAndSoHasTheHelp() {
    Map<String, String> defaults = new LinkedHashMap<>();
    ServerLimits limits = ServerLimits.defaults();
    defaults.put("connections", Integer.toString(limits.connectionsMax()));
    defaults.put("handshakes", Integer.toString(limits.handshakesMax()));
    defaults.put("handshake-seconds", Long.toString(limits.handshakeDeadline().toSeconds()));
    defaults.put("options", Integer.toString(limits.optionsMax()));
    defaults.put("requests", Integer.toString(limits.requestsInFlightMax()));
    defaults.put("bytes", Long.toString(limits.bytesInFlightMax()));
    defaults.put("total-bytes", Long.toString(limits.bytesInFlightTotalMax()));
    defaults.put("extents", Integer.toString(limits.extentsMax()));
    defaults.put("stall-seconds", Long.toString(limits.stalledReaderDeadline().toSeconds()));
    defaults.put("tcp-seconds", Long.toString(limits.tcpUserTimeout().toSeconds()));

    Map<String, String> told = new LinkedHashMap<>();
    for (List<String> row : rows("## Options of `serve`", "limit")) {
      told.put(row.get(0).replace("`", ""), plain(row.get(1)));
    }
    assertEquals("one per processor", told.remove("threads"));
    assertEquals(defaults, told);

    Map<String, String> help = new LinkedHashMap<>();
    for (String line : command("serve").getUsageMessage().lines().toList()) {
      Matcher limit = Pattern.compile("  ([a-z-]+)=([0-9]+[A-Z]?) .*").matcher(line);
      if (limit.matches()) {
        help.put(limit.group(1), plain(limit.group(2)));
      }
    }
    assertEquals(defaults, help);
  }

  @Test
  void tableOfExitCodesHasThemAll() {
    List<String> told = rows("## Exit codes", "code").stream().map(row -> row.get(0)).toList();
    assertEquals(
        Arrays.stream(ExitCode.values()).map(code -> Integer.toString(code.number())).toList(),
        told);
  }

  /// Whether a person would type it: in prose `nbdfleece` is followed by any word.
  private static boolean isCall(String line, String command) {
    return line.contains("./nbdfleece " + command) || line.contains("`nbdfleece " + command);
  }

  /// 64M as bytes; what is no size as it is.
  private static String plain(String text) {
    return text.matches("\\d+[KMG]") ? Long.toString(ByteSize.parse(text).bytes()) : text;
  }

  /// Of the command and of those below it.
  private Set<String> optionsOf(String command) {
    Set<String> options = new TreeSet<>();
    collect(command(command), options);
    return options;
  }

  private CommandLine command(String name) {
    return Objects.requireNonNull(program.getSubcommands().get(name), name);
  }

  private static void collect(CommandLine command, Set<String> options) {
    command.getCommandSpec().options().forEach(option -> options.addAll(List.of(option.names())));
    command.getSubcommands().values().forEach(below -> collect(below, options));
  }

  /// The cells of the table below a heading whose first column has that title.
  private List<List<String>> rows(String heading, String title) {
    int from = lines.indexOf(heading);
    assertTrue(from >= 0, heading);
    List<List<String>> rows = new ArrayList<>();
    boolean inside = false;
    for (String line : lines.subList(from + 1, lines.size())) {
      if (line.startsWith("## ")) {
        break;
      }
      if (line.startsWith("| " + title + " |")) {
        inside = true;
      } else if (!line.startsWith("|")) {
        inside = false;
      } else if (inside && !line.startsWith("|---")) {
        rows.add(Arrays.stream(line.substring(1).split("\\|", -1)).map(String::strip).toList());
      }
    }
    assertFalse(rows.isEmpty(), heading);
    return rows;
  }
}
