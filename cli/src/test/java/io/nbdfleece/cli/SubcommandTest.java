// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Command;

final class SubcommandTest {

  @Test
  void eachIsCalledByTheNameThatItsClassHas() {
    for (Subcommand one : Subcommand.values()) {
      assertEquals(one.command().getAnnotation(Command.class).name(), one.word());
    }
  }

  @Test
  void theHelpKnowsAllOfThem() {
    CommandLine all = Main.commands();
    assertEquals(
        Stream.of(Subcommand.values()).map(Subcommand::word).toList(),
        List.copyOf(all.getSubcommands().keySet()));
  }
}
