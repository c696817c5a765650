// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;

/// Measures and prints a table. `./benchmark --help` tells the options. Every subject has a disk
/// image of its own, full of random data and in the page cache; the subjects take turns, so that a
/// busy moment of the machine hits all alike.
public final class Benchmark {
  private static final List<Load> LOADS =
      List.of(
          new Load("4 KiB", 4096, 1), new Load("4 KiB", 4096, 32), new Load("64 KiB", 65536, 16));

  private final Options options;
  private final Map<String, List<Double>> figures = new TreeMap<>();

  private Benchmark(Options options) {
    this.options = options;
  }

  /// Exit code 0, or 1 with a message.
  public static void main(String[] arguments) throws InterruptedException {
    try {
      if (List.of(arguments).contains("--help")) {
        System.out.println(Options.HELP);
        return;
      }
      new Benchmark(Options.parse(List.of(arguments))).run();
    } catch (IOException | IllegalArgumentException e) {
      System.err.println("benchmark: " + e.getMessage());
      System.exit(1);
    }
  }

  private void run() throws IOException, InterruptedException {
    Tool.require("fio", "fio");
    Tool.require("nbdcopy", "libnbd-bin");
    boolean qemu = Tool.isInstalled("qemu-storage-daemon");
    if (!qemu) {
      System.out.println(
          "qemu-storage-daemon not found, so there is nothing to compare with:"
              + " apt-get install qemu-system-common");
    }
    Path place = Files.createTempDirectory(options.directory(), "nbdfleece-benchmark");
    Runtime.getRuntime().addShutdownHook(new Thread(() -> remove(place)));
    System.out.printf(
        "%d MiB disk, %d writes a measurement, median of %d rounds," + " in %s, %d processors%n",
        options.sizeMib(),
        options.writes(),
        options.rounds(),
        place,
        Runtime.getRuntime().availableProcessors());
    FleeceServer server =
        FleeceServer.start(options.root(), place, image(place.resolve("nbdfleece.img")));
    List<Subject> subjects = new ArrayList<>(List.of(server.plain(), server.withSnapshot()));
    if (qemu) {
      subjects.add(QemuDaemon.plain(place, image(place.resolve("qemu.img"))));
      subjects.add(QemuDaemon.withCopyBeforeWrite(place, image(place.resolve("qemu-cbw.img"))));
    }
    try {
      for (int i = 0; i < options.warmUpRounds(); i++) {
        System.out.print("warming up " + (i + 1) + "/" + options.warmUpRounds() + "\r");
        round(subjects);
      }
      figures.clear();
      for (int i = 0; i < options.rounds(); i++) {
        System.out.print("round " + (i + 1) + "/" + options.rounds() + "       \r");
        round(subjects);
      }
      print(subjects);
    } finally {
      for (Subject subject : subjects) {
        subject.stop();
      }
      server.stop();
    }
  }

  private void round(List<Subject> subjects) throws IOException, InterruptedException {
    for (Load load : LOADS) {
      for (Subject subject : subjects) {
        subject.begin();
        Load.Figures measured = load.run(subject.diskUri(), options.sizeMib(), options.writes());
        if (load.equals(LOADS.getLast())) {
          note(subject, "pull, overwritten in part", pull(subject.pullUri()));
        }
        subject.end();
        note(subject, load + " IOPS", measured.perSecond());
        note(subject, load + " p99", measured.p99Micros());
      }
    }
    for (Subject subject : subjects) {
      subject.begin();
      note(subject, "pull, unchanged", pull(subject.pullUri()));
      subject.end();
    }
  }

  private double pull(String uri) throws IOException, InterruptedException {
    long startNanos = System.nanoTime();
    String _ = Tool.run(List.of("nbdcopy", uri, "null:"));
    return options.sizeMib() / ((System.nanoTime() - startNanos) / 1e9);
  }

  private void note(Subject subject, String what, double figure) {
    figures.computeIfAbsent(subject.name() + what, _ -> new ArrayList<>()).add(figure);
  }

  private double median(Subject subject, String what) {
    List<Double> sorted = new ArrayList<>(figures.getOrDefault(subject.name() + what, List.of()));
    sorted.sort(Comparator.naturalOrder());
    return sorted.isEmpty() ? Double.NaN : sorted.get(sorted.size() / 2);
  }

  private void print(List<Subject> subjects) {
    System.out.printf("%n%-34s", "");
    subjects.forEach(subject -> System.out.printf("%22s", subject.name()));
    System.out.println();
    List<String> rows = new ArrayList<>();
    LOADS.forEach(load -> rows.addAll(List.of(load + " IOPS", load + " p99")));
    rows.addAll(List.of("pull, unchanged", "pull, overwritten in part"));
    for (String row : rows) {
      String unit = row.endsWith("p99") ? ", µs" : row.startsWith("pull") ? ", MiB/s" : "";
      System.out.printf("%-34s", row + unit);
      for (Subject subject : subjects) {
        System.out.printf(Locale.ROOT, "%,22.0f", median(subject, row));
      }
      System.out.println();
    }
    System.out.println("\nratios (of medians; above 1 the first one is faster)");
    ratios("nbdfleece with snapshot : without", subjects.get(1), subjects.get(0), rows);
    if (subjects.size() > 2) {
      ratios("QEMU with snapshot : without", subjects.get(3), subjects.get(2), rows);
      ratios("without, nbdfleece : QEMU", subjects.get(0), subjects.get(2), rows);
      ratios("with snapshot, nbdfleece : QEMU", subjects.get(1), subjects.get(3), rows);
    }
  }

  private void ratios(String title, Subject one, Subject other, List<String> rows) {
    System.out.println(title);
    for (String row : rows) {
      double ratio = median(one, row) / median(other, row);
      System.out.printf(
          Locale.ROOT, "  %-32s %6.2f%n", row, row.endsWith("p99") ? 1 / ratio : ratio);
    }
  }

  private Path image(Path path) throws IOException {
    byte[] mebibyte = new byte[1 << 20];
    Random random = new Random(1);
    try (OutputStream out = Files.newOutputStream(path)) {
      for (int i = 0; i < options.sizeMib(); i++) {
        random.nextBytes(mebibyte);
        out.write(mebibyte);
      }
    }
    // Written back now and not in the middle of a measurement; it stays in the page cache.
    try (FileChannel file = FileChannel.open(path, StandardOpenOption.WRITE)) {
      file.force(true);
    }
    return path;
  }

  private static void remove(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
      Files.delete(directory);
    } catch (IOException e) {
      System.err.println("benchmark: " + directory + " not removed: " + e);
    }
  }

  /// What the user chose.
  private record Options(
      Path root, Path directory, int sizeMib, int writes, int rounds, int warmUpRounds) {
    static final String HELP =
        """
        usage: ./benchmark [OPTION…]
        Measures guest writes and pulls with and without a snapshot, beside QEMU.

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
        case "--rounds" ->
            new Options(root, directory, sizeMib, writes, number(value), warmUpRounds);
        case "--warm-up" -> new Options(root, directory, sizeMib, writes, rounds, number(value));
        case "--size" -> new Options(root, directory, number(value), writes, rounds, warmUpRounds);
        case "--writes" ->
            new Options(root, directory, sizeMib, number(value), rounds, warmUpRounds);
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
}
