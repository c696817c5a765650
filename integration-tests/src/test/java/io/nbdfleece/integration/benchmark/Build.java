// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// A build of nbdfleece that is measured, with the options that it gets.
///
/// @param name tells it from others in the table; empty for the only one
/// @param directory where its launcher is
/// @param serveOptions further options of `serve`
/// @param javaOptions further options of java
record Build(String name, Path directory, List<String> serveOptions, List<String> javaOptions) {
  /// @param text `[NAME=]DIRECTORY [OPTION…]`; what looks like an option of java goes to java
  static Build parse(String text) {
    String[] words = text.strip().split(" +", -1);
    int equals = words[0].indexOf('=');
    Path directory = Path.of(words[0].substring(equals + 1)).toAbsolutePath().normalize();
    String name = equals < 0 ? "" + directory.getFileName() : words[0].substring(0, equals);
    List<String> serve = new ArrayList<>();
    List<String> java = new ArrayList<>();
    for (String word : Arrays.asList(words).subList(1, words.length)) {
      (word.matches("-[XDa].*|--(enable|add|sun)-.*") ? java : serve).add(word);
    }
    return new Build(name, directory, serve, java);
  }

  /// The one of the benchmark itself.
  static Build own(Path root) {
    return new Build("", root, List.of(), List.of());
  }

  String title() {
    return name.isEmpty() ? Nbdfleece.NAME : Nbdfleece.NAME + " " + name;
  }

  Path launcher() {
    return directory.resolve("nbdfleece");
  }

  /// Builds it if it must, and returns its version.
  String prepare() throws IOException, InterruptedException {
    if (!Files.isExecutable(launcher())) {
      throw new IOException(
          directory + ": no nbdfleece there: --program takes the directory of a source tree");
    }
    return Tool.run(List.of(launcher().toString(), "--version")).strip();
  }
}
