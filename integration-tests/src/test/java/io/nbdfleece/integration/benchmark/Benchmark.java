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
          new P5WritesDuringPull(),
          new P6RandomReads(),
          new P7SlowScratch(),
          new P8SparseDisk(),
          new P9StartUp(),
          new P10Footprint());

  /// Those that run only when they are asked for.
  private static final List<Workload> EXTRAS = List.of(new Scaling(), new BitmapCosts());

  private Benchmark() {}

  /// Exit code 0, or 1 with a message: also when a part of it failed.
  public static void main(String[] arguments) {
    List<String> given = List.of(arguments);
    if (given.contains("--help") || given.contains("-h")) {
      System.out.print(help());
      return;
    }
    try {
      int failureCount = run(Options.parse(given), given);
      if (failureCount > 0) {
        System.err.println("bench: failed: " + failureCount + ", see above");
        System.exit(1);
      }
    } catch (InterruptedException e) {
      // The hooks of the JVM are at work already.
      System.err.println("\nbench: interrupted");
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

  private static int run(Options options, List<String> given)
      throws IOException, InterruptedException {
    Set<String> unknown = new LinkedHashSet<>(options.workloads());
    all().forEach(one -> unknown.remove(one.id()));
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException(unknown + ": no such workload, see --help");
    }
    List<Workload> chosen =
        options.workloads().isEmpty()
            ? WORKLOADS
            : all().filter(one -> options.workloads().contains(one.id())).toList();
    PeerPrograms programs = peers(options);
    for (String needed : List.of("fio", "nbdcopy")) {
      String _ = programs.path(needed);
    }
    Report report = new Report(System.out, isTerminal());
    report.fact(
        "command",
        "nbdfleece bench "
            + given.stream().map(Benchmark::quoted).collect(Collectors.joining(" ")));
    facts(options, programs, report);
    Workplace place = Workplace.create(options.directory());
    Bench bench = new Bench(options, place, programs, report);
    boolean isComplete = false;
    try {
      for (Workload workload : chosen) {
        run(workload, bench);
      }
      isComplete = true;
    } finally {
      if (options.json().isPresent()) {
        report.write(options.json().get(), isComplete);
      }
      bench.stop();
    }
    return report.failureCount();
  }

  // As a shell takes it.
  private static String quoted(String argument) {
    return argument.matches("[\\w./,=:+-]+")
        ? argument
        : "'" + argument.replace("'", "'\\''") + "'";
  }

  private static void run(Workload workload, Bench bench) throws InterruptedException {
    bench.report().heading(workload);
    long startNanos = System.nanoTime();
    try {
      workload.run(bench);
    } catch (IOException e) {
      if (bench.place().isEnding()) {
        throw new InterruptedException(e.getMessage());
      }
      bench.report().broken(workload, "" + e.getMessage());
    }
    bench.report().took(workload, (System.nanoTime() - startNanos) / 1e9);
  }

  // Null aware checkers take System.console() for nullable, others say that it never is.
  @SuppressWarnings("SystemConsoleNull")
  private static boolean isTerminal() {
    return System.console() != null && System.console().isTerminal();
  }

  static PeerPrograms peers(Options options) {
    String path = System.getenv().getOrDefault("PATH", "");
    if (options.installedPeers()) {
      return new PeerPrograms(Optional.empty(), path);
    }
    if (options.peersRoot().isPresent()) {
      Path root = options.peersRoot().get();
      if (!Files.exists(root.resolve("bin/complete"))) {
        throw new IllegalArgumentException(
            root
                + ": no peers there: put them there with integration-tests/debian13-peers "
                + root);
      }
      return new PeerPrograms(options.peersRoot(), path);
    }
    String home = System.getProperty("user.home");
    String named = System.getenv().getOrDefault("NBDFLEECE_DEBIAN13", "/opt/debian13");
    return new PeerPrograms(
        PeerPrograms.find(
            Path.of(named), Path.of(home, ".cache/nbdfleece/debian13"), Path.of("/opt/debian13")),
        path);
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
