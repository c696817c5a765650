// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// What the user chose.
///
/// @param workloads P1 and so on, in small letters; empty for all
/// @param peers beginnings of the names of those to run; empty for all
/// @param peersRoot where newer peers are; empty to look for it
/// @param seconds how long a measurement takes that has no end of its own
/// @param warmUpSeconds how long a fresh JVM is kept busy before it is measured, at least
/// @param warmUpSecondsMax … at most, while its compilers are
record Options(
    Path root,
    List<Build> builds,
    Set<String> workloads,
    List<String> peers,
    Optional<Path> peersRoot,
    boolean installedPeers,
    Path directory,
    int sizeMib,
    int rounds,
    int warmUpRounds,
    double seconds,
    int warmUpSeconds,
    int warmUpSecondsMax,
    Cold cold,
    Optional<Path> json) {
  static final String HELP =
      """
      usage: nbdfleece bench [WORKLOAD…] [OPTION…]
      Measures nbdfleece beside the NBD servers that are installed. BENCHMARKING.md tells how to
      read it. Without a WORKLOAD: p1 to p10, about an hour.

      %s
        --quick          fewer and shorter rounds on a smaller disk: about ten minutes, rough
        --rounds N       rounds to take the median of (default 5)
        --warm-up N      rounds before them, not counted (default 1)
        --size MIB       size of the disk (default 1024); about ten times that must fit in RAM
        --seconds S      length of a measurement that has no end of its own (default 2)
        --cold           with a cold page cache, too, where that makes a difference
        --no-cold        not so (the default of --quick)
        --peers NAMES    only these, with commas: qemu-nbd, nbdkit, nbdkit file, nbdkit memory,
                         qemu-storage-daemon, qsd, none; the beginning of a name is enough
        --peers-root DIR newer peers, as integration-tests/debian13-peers DIR has put them there
                         (default: $NBDFLEECE_DEBIAN13, ~/.cache/nbdfleece/debian13, /opt/debian13);
                         `installed` for those on the PATH
        --program "[NAME=]DIR [OPTION…]"
                         the source tree of nbdfleece to measure, with more options of `serve` or of
                         java (-X…, -D…); several of them are measured beside each other
        --directory DIR  where images and scratch files go (default /var/tmp)
        --json FILE      the figures of every round
      """;

  /// Whether the page cache is dropped for some cases.
  enum Cold {
    NO,
    YES
  }

  static Options parse(List<String> arguments) {
    Path root = Path.of(System.getProperty("nbdfleece.root", ".")).toAbsolutePath();
    Builder builder = new Builder();
    if (arguments.contains("--quick")) {
      builder.quick();
    }
    for (int i = 0; i < arguments.size(); i++) {
      String argument = arguments.get(i);
      if (!argument.startsWith("-")) {
        builder.workloads.add(argument.toLowerCase(java.util.Locale.ROOT));
      } else if (!builder.flag(argument)) {
        if (i + 1 == arguments.size()) {
          throw new IllegalArgumentException(argument + ": give it a value, see --help");
        }
        builder.value(argument, arguments.get(++i));
      }
    }
    return builder.options(root);
  }

  private static final class Builder {
    private final List<Build> builds = new ArrayList<>();
    private final Set<String> workloads = new LinkedHashSet<>();
    private List<String> peers = List.of();
    private Optional<Path> peersRoot = Optional.empty();
    private boolean installedPeers;
    private Path directory = Path.of("/var/tmp");
    private int sizeMib = 1024;
    private int rounds = 5;
    private int warmUpRounds = 1;
    private double seconds = 2;
    private int warmUpSeconds = 5;
    private int warmUpSecondsMax = 90;
    private Cold cold = Cold.YES;
    private Optional<Path> json = Optional.empty();

    void quick() {
      sizeMib = 512;
      rounds = 2;
      seconds = 0.7;
      warmUpSeconds = 3;
      warmUpSecondsMax = 10;
      cold = Cold.NO;
    }

    boolean flag(String option) {
      switch (option) {
        case "--quick" -> {}
        case "--cold" -> cold = Cold.YES;
        case "--no-cold" -> cold = Cold.NO;
        default -> {
          return false;
        }
      }
      return true;
    }

    void value(String option, String value) {
      switch (option) {
        case "--rounds" -> rounds = number(option, value, 1);
        case "--warm-up" -> warmUpRounds = number(option, value, 0);
        case "--size" -> sizeMib = number(option, value, 64);
        case "--seconds" -> seconds = decimal(option, value);
        case "--peers" -> peers = List.of(value.split(" *, *", -1));
        case "--peers-root" -> {
          installedPeers = value.equals("installed");
          peersRoot = installedPeers ? Optional.empty() : Optional.of(Path.of(value));
        }
        case "--program" -> builds.add(Build.parse(value));
        case "--directory" -> directory = Path.of(value);
        case "--json" -> json = Optional.of(Path.of(value));
        default -> throw new IllegalArgumentException(option + ": no such option, see --help");
      }
    }

    Options options(Path root) {
      if (builds.isEmpty()) {
        builds.add(Build.own(root));
      }
      return new Options(
          root,
          List.copyOf(builds),
          workloads,
          peers,
          peersRoot,
          installedPeers,
          directory,
          sizeMib,
          rounds,
          warmUpRounds,
          seconds,
          warmUpSeconds,
          warmUpSecondsMax,
          cold,
          json);
    }

    private static int number(String option, String value, int min) {
      if (!value.matches("\\d{1,7}") || Integer.parseInt(value) < min) {
        throw new IllegalArgumentException(
            option + " " + value + ": a number is needed, at least " + min);
      }
      return Integer.parseInt(value);
    }

    private static double decimal(String option, String value) {
      if (!value.matches("\\d{1,4}(\\.\\d{1,3})?") || Double.parseDouble(value) < 0.1) {
        throw new IllegalArgumentException(
            option + " " + value + ": seconds are needed, at least 0.1");
      }
      return Double.parseDouble(value);
    }
  }
}
