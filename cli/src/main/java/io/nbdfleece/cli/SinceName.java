// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.util.Optional;
import java.util.Stack;
import picocli.CommandLine.IParameterConsumer;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;

/// `--since [NAME]` before `URI FILE`: the word that follows is the NAME unless it is an option or
/// the URI.
///
/// @param bitmap the NAME
record SinceName(Optional<String> bitmap) {

  /// Takes the NAME if there is one.
  static final class Consumer implements IParameterConsumer {
    @Override
    @SuppressWarnings("JdkObsolete") // picocli's signature
    public void consumeParameters(Stack<String> words, ArgSpec option, CommandSpec command) {
      boolean named =
          !words.isEmpty() && !words.peek().startsWith("-") && !words.peek().contains("://");
      option.setValue(
          Optional.of(new SinceName(named ? Optional.of(words.pop()) : Optional.empty())));
    }
  }
}
