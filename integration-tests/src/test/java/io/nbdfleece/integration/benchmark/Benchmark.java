// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// Measures and prints a table. `./benchmark --help` tells the options. Every subject has a disk
/// image of its own, full of random data and in the page cache; the subjects take turns, so that a
/// busy moment of the machine hits all alike.
public final class Benchmark {
  private static final List<Load> LOADS =
      List.of(
          new Load("4 KiB", 4096, 1), new Load("4 KiB", 4096, 32), new Load("64 KiB", 65536, 16));

  private final Options options;
  private final Medians medians = new Medians();

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
      List<String> given = List.of(arguments);
      if (given.indexOf("bitmaps") == 0) {
        new BitmapBenchmark(Options.parse(given.subList(1, given.size()))).run();
      } else {
        new Benchmark(Options.parse(given)).run();
      }
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
    Workplace place = Workplace.create(options);
    System.out.printf(
        "%d MiB disk, %d writes a measurement, median of %d rounds," + " in %s, %d processors%n",
        options.sizeMib(),
        options.writes(),
        options.rounds(),
        place.directory(),
        Runtime.getRuntime().availableProcessors());
    FleeceServer server =
        FleeceServer.start(
            options.root(),
            place.directory(),
            "vda",
            place.image("nbdfleece.img", options.sizeMib()));
    List<Subject> subjects = new ArrayList<>(List.of(server.plain(), server.withSnapshot()));
    if (qemu) {
      subjects.add(QemuDaemon.plain(place.directory(), place.image("qemu.img", options.sizeMib())));
      subjects.add(
          QemuDaemon.withCopyBeforeWrite(
              place.directory(), place.image("qemu-cbw.img", options.sizeMib())));
    }
    try {
      for (int i = 0; i < options.warmUpRounds(); i++) {
        System.out.print("warming up " + (i + 1) + "/" + options.warmUpRounds() + "\r");
        round(subjects);
      }
      medians.clear();
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
          medians.note(subject, "pull, overwritten in part", pull(subject.pullUri()));
        }
        subject.end();
        medians.note(subject, load + " IOPS", measured.perSecond());
        medians.note(subject, load + " p99", measured.p99Micros());
      }
    }
    for (Subject subject : subjects) {
      subject.begin();
      medians.note(subject, "pull, unchanged", pull(subject.pullUri()));
      subject.end();
    }
  }

  private double pull(String uri) throws IOException, InterruptedException {
    long startNanos = System.nanoTime();
    String _ = Tool.run(List.of("nbdcopy", uri, "null:"));
    return options.sizeMib() / ((System.nanoTime() - startNanos) / 1e9);
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
        System.out.printf(Locale.ROOT, "%,22.0f", medians.of(subject, row));
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
      double ratio = medians.of(one, row) / medians.of(other, row);
      System.out.printf(
          Locale.ROOT, "  %-32s %6.2f%n", row, row.endsWith("p99") ? 1 / ratio : ratio);
    }
  }
}
