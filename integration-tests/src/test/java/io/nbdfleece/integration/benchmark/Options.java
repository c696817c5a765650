// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.nio.file.Path;
import java.util.List;

/// What the user chose.
record Options(Path root, Path directory, int sizeMib, int writes, int rounds, int warmUpRounds) {
  static final String HELP =
      """
      usage: ./benchmark [bitmaps] [OPTION…]
      Measures guest writes and pulls with and without a snapshot, beside QEMU.
      With `bitmaps`: guest writes with dirty bitmaps, their memory, and a start with fifty of them.

        --rounds N       rounds to take the median of (default 5)
        --warm-up N      rounds before them (default 3: a JVM is slow at first)
        --size MIB       size of the disk (default 2048); three times that must fit in RAM
        --writes N       writes a measurement (default 8192), to clusters picked at random
        --directory DIR  where images and scratch files go (default /var/tmp)
      """;

  static Options parse(List<String> arguments) {
    Path root = Path.of(System.getProperty("nbdfleece.root", ".")).toAbsolutePath();
    Options options = new Options(root, Path.of("/var/tmp"), 2048, 8192, 5, 3);
    for (int i = 0; i < arguments.size(); i += 2) {
      if (i + 1 == arguments.size()) {
        throw new IllegalArgumentException(arguments.get(i) + ": give it a value, see --help");
      }
      options = options.with(arguments.get(i), arguments.get(i + 1));
    }
    if (options.writes * 65536L > options.sizeMib * (1L << 20)) {
      throw new IllegalArgumentException(
          "--writes " + options.writes + ": the disk has fewer clusters of 64 KiB: more --size");
    }
    return options;
  }

  private Options with(String option, String value) {
    return switch (option) {
      case "--rounds" -> new Options(root, directory, sizeMib, writes, number(value), warmUpRounds);
      case "--warm-up" -> new Options(root, directory, sizeMib, writes, rounds, number(value));
      case "--size" -> new Options(root, directory, number(value), writes, rounds, warmUpRounds);
      case "--writes" -> new Options(root, directory, sizeMib, number(value), rounds, warmUpRounds);
      case "--directory" ->
          new Options(root, Path.of(value), sizeMib, writes, rounds, warmUpRounds);
      default -> throw new IllegalArgumentException(option + ": no such option, see --help");
    };
  }

  private static int number(String value) {
    if (!value.matches("\\d{1,8}")) {
      throw new IllegalArgumentException(value + ": not a number");
    }
    return Integer.parseInt(value);
  }
}
