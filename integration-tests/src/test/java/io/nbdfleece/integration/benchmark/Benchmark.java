// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// `nbdfleece bench`: runs the workloads that were asked for, one after the other.
public final class Benchmark {
  private static final List<Workload> WORKLOADS =
      List.of(
          new P1PlainPull(),
          new P2SnapshotPull(),
          new P3GuestWrites(),
          new P4PreservingWrites(),
          new P6RandomReads(),
          new P8SparseDisk());

  /// Those that run only when they are asked for.
  private static final List<Workload> EXTRAS = List.of(new BitmapCosts());

  private Benchmark() {}

  /// Exit code 0, or 1 with a message.
  public static void main(String[] arguments) throws InterruptedException {
    List<String> given = List.of(arguments);
    if (given.contains("--help") || given.contains("-h")) {
      System.out.print(help());
      return;
    }
    try {
      run(Options.parse(given));
    } catch (IOException | IllegalArgumentException e) {
      System.err.println("bench: " + e.getMessage());
      System.exit(1);
    }
  }

  private static String help() {
    String workloads =
        all()
            .map(one -> String.format("  %-8s %s%n", one.id(), one.title()))
            .collect(Collectors.joining());
    return String.format(Options.HELP, workloads);
  }

  private static Stream<Workload> all() {
    return Stream.concat(WORKLOADS.stream(), EXTRAS.stream());
  }

  private static void run(Options options) throws IOException, InterruptedException {
    Set<String> unknown = new LinkedHashSet<>(options.workloads());
    all().forEach(one -> unknown.remove(one.id()));
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException(unknown + ": no such workload, see --help");
    }
    PeerPrograms programs = peers(options);
    for (String needed : List.of("fio", "nbdcopy")) {
      String _ = programs.path(needed);
    }
    Report report = new Report(System.out);
    facts(options, programs, report);
    Workplace place = Workplace.create(options.directory());
    Bench bench = new Bench(options, place, programs, report);
    try {
      List<Workload> chosen =
          options.workloads().isEmpty()
              ? WORKLOADS
              : all().filter(one -> options.workloads().contains(one.id())).toList();
      for (Workload workload : chosen) {
        report.heading(workload);
        try {
          workload.run(bench);
        } catch (IOException e) {
          report.note("not measured to the end: " + e.getMessage());
        }
      }
    } finally {
      bench.stop();
      if (options.json().isPresent()) {
        report.write(options.json().get());
      }
    }
  }

  static PeerPrograms peers(Options options) {
    if (options.installedPeers()) {
      return new PeerPrograms(Optional.empty());
    }
    if (options.peersRoot().isPresent()) {
      Path root = options.peersRoot().get();
      if (!Files.exists(root.resolve("bin/complete"))) {
        throw new IllegalArgumentException(
            root
                + ": no peers there: put them there with integration-tests/debian13-peers "
                + root);
      }
      return new PeerPrograms(options.peersRoot());
    }
    String home = System.getProperty("user.home");
    String named = System.getenv().getOrDefault("NBDFLEECE_DEBIAN13", "/opt/debian13");
    return new PeerPrograms(
        PeerPrograms.find(
            Path.of(named), Path.of(home, ".cache/nbdfleece/debian13"), Path.of("/opt/debian13")));
  }

  private static void facts(Options options, PeerPrograms programs, Report report)
      throws IOException, InterruptedException {
    report.fact("date", LocalDate.now(java.time.ZoneId.systemDefault()).toString());
    report.fact(
        "machine",
        cpu()
            + ", "
            + Runtime.getRuntime().availableProcessors()
            + " processors, Linux "
            + System.getProperty("os.version")
            + ", load "
            + Files.readString(Path.of("/proc/loadavg")).split(" ", 2)[0]);
    report.fact(
        "method",
        String.format(
            Locale.ROOT,
            "%d MiB disk in %s, medians of %d rounds after %d, ratio = to the best peer",
            options.sizeMib(),
            options.directory(),
            options.rounds(),
            options.warmUpRounds()));
    for (Build build : options.builds()) {
      report.fact(build.title(), build.prepare() + " in " + build.directory());
    }
    for (String program : List.of("fio", "nbdcopy", "qemu-nbd", "nbdkit", "qemu-storage-daemon")) {
      if (programs.has(program)) {
        report.fact(program, programs.version(program) + "  " + programs.path(program));
      }
    }
    for (String missing : programs.missing()) {
      report.note("missing: " + missing);
    }
  }

  private static String cpu() throws IOException {
    return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
        .filter(line -> line.startsWith("model name"))
        .map(line -> line.substring(line.indexOf(':') + 1).strip())
        .findFirst()
        .orElse(System.getProperty("os.arch"));
  }
}
