// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/// What dirty bitmaps cost: guest writes with 0, 1 and 8 of them, their memory on a huge disk, and
/// a start with fifty that were kept. Beside QEMU, where QEMU has the like.
final class BitmapBenchmark {
  private static final List<Load> LOADS =
      List.of(new Load("4 KiB", 4096, 1), new Load("4 KiB", 4096, 32));
  private static final List<Integer> COUNTS = List.of(0, 1, 8);
  // ext4 ends one block before 16 TiB.
  private static final long HUGE_BYTES = (16L << 40) - (1 << 20);
  private static final int HUGE_MIB = (int) (HUGE_BYTES >> 20);
  private static final int KEPT_BITMAPS = 50;

  private final Options options;
  private final Medians medians = new Medians();

  BitmapBenchmark(Options options) {
    this.options = options;
  }

  void run() throws IOException, InterruptedException {
    Tool.require("fio", "fio");
    boolean qemu = Tool.isInstalled("qemu-storage-daemon");
    Workplace place = Workplace.create(options);
    System.out.printf(
        "%d MiB disk, %d writes a measurement, median of %d rounds, in %s, %d processors%n",
        options.sizeMib(),
        options.writes(),
        options.rounds(),
        place.directory(),
        Runtime.getRuntime().availableProcessors());
    writes(place, qemu);
    memory(place, qemu);
    start(place);
  }

  private void writes(Workplace place, boolean qemu) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    List<Subject> daemons = new ArrayList<>();
    FleeceServer server =
        FleeceServer.start(
            options.root(),
            place.directory(),
            "writes",
            place.image("nbdfleece.img", options.sizeMib()),
            "--state",
            place.resolve("writes.state").toString());
    try {
      String uri = server.plain().diskUri();
      for (int count : COUNTS) {
        subjects.add(new WithBitmaps("nbdfleece", server.control(), "vda", uri, count, false));
      }
      for (int count : COUNTS.subList(1, COUNTS.size())) {
        subjects.add(new WithBitmaps("nbdfleece", server.control(), "vda", uri, count, true));
      }
      if (qemu) {
        QemuDaemon daemon =
            QemuDaemon.plain(place.directory(), place.image("qemu.img", options.sizeMib()));
        daemon.begin();
        daemons.add(daemon);
        for (int count : COUNTS) {
          subjects.add(
              new WithBitmaps("QEMU", daemon.control(), "disk", daemon.diskUri(), count, false));
        }
      }
      for (int i = 0; i < options.warmUpRounds(); i++) {
        System.out.print("warming up " + (i + 1) + "/" + options.warmUpRounds() + "\r");
        round(subjects);
      }
      medians.clear();
      for (int i = 0; i < options.rounds(); i++) {
        System.out.print("round " + (i + 1) + "/" + options.rounds() + "       \r");
        round(subjects);
      }
    } finally {
      for (Subject daemon : daemons) {
        daemon.stop();
      }
      server.stop();
    }
    print(subjects);
  }

  private void round(List<Subject> subjects) throws IOException, InterruptedException {
    for (Load load : LOADS) {
      for (Subject subject : subjects) {
        subject.begin();
        Load.Figures measured = load.run(subject.diskUri(), options.sizeMib(), options.writes());
        subject.end();
        medians.note(subject, load + " IOPS", measured.perSecond());
        medians.note(subject, load + " p99", measured.p99Micros());
      }
    }
  }

  private void print(List<Subject> subjects) {
    System.out.printf("%n%-20s", "bitmaps");
    subjects.forEach(subject -> System.out.printf("%18s", subject.name()));
    System.out.println();
    for (Load load : LOADS) {
      for (String what : List.of(" IOPS", " p99")) {
        System.out.printf("%-20s", load + what + (what.equals(" p99") ? ", µs" : ""));
        for (Subject subject : subjects) {
          System.out.printf(Locale.ROOT, "%,18.0f", medians.of(subject, load + what));
        }
        System.out.println();
      }
    }
    System.out.println("cost of bitmaps, IOPS, against none of the same program");
    for (Load load : LOADS) {
      System.out.printf("%-20s", load);
      Subject none = subjects.getFirst();
      for (Subject subject : subjects) {
        if (subject.name().endsWith(" 0")) {
          none = subject;
        }
        double ratio = medians.of(subject, load + " IOPS") / medians.of(none, load + " IOPS");
        System.out.printf(Locale.ROOT, "%17.1f%%", 100 * (1 - ratio));
      }
      System.out.println();
    }
  }

  // What one bitmap of a disk of 16 TiB takes: empty, and after writes all over the disk.
  private void memory(Workplace place, boolean qemu) throws IOException, InterruptedException {
    System.out.println("\nmemory of one bitmap of a sparse disk of 16 TiB, KiB");
    Path image = place.sparse("huge.img", HUGE_BYTES);
    for (boolean persistent : List.of(false, true)) {
      FleeceServer server =
          FleeceServer.start(
              options.root(),
              place.directory(),
              "huge" + persistent,
              image,
              "--state",
              place.resolve("huge.state" + persistent).toString());
      try {
        WithBitmaps subject =
            new WithBitmaps(
                "nbdfleece", server.control(), "vda", server.plain().diskUri(), 1, persistent);
        memory(subject, server.process(), true);
      } finally {
        server.stop();
      }
    }
    if (qemu) {
      QemuDaemon daemon = QemuDaemon.plain(place.directory(), image);
      daemon.begin();
      try {
        WithBitmaps subject =
            new WithBitmaps("QEMU", daemon.control(), "disk", daemon.diskUri(), 1, false);
        memory(subject, daemon.process(), false);
      } finally {
        daemon.stop();
      }
    }
  }

  private void memory(WithBitmaps subject, Process process, boolean jvm)
      throws IOException, InterruptedException {
    // What a first client costs does not belong to the bitmap.
    Load.Figures _ = LOADS.getLast().run(subject.diskUri(), HUGE_MIB, options.writes());
    long before = residentKib(process, jvm);
    subject.begin();
    long empty = residentKib(process, jvm);
    Load.Figures _ = LOADS.getLast().run(subject.diskUri(), HUGE_MIB, options.writes());
    long written = residentKib(process, jvm);
    System.out.printf(
        Locale.ROOT,
        "  %-18s empty %,d, after %,d writes at random %,d%n",
        subject.name(),
        empty - before,
        options.writes(),
        written - before);
    subject.end();
  }

  // Of a JVM what lives in its heap after a collection, and what is resident outside of it.
  private static long residentKib(Process process, boolean jvm)
      throws IOException, InterruptedException {
    if (!jvm) {
      return statusKib(process, "VmRSS");
    }
    String jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
    String pid = Long.toString(process.pid());
    String _ = Tool.run(List.of(jcmd, pid, "GC.run"));
    String heap = Tool.run(List.of(jcmd, pid, "GC.heap_info"));
    long used = 0;
    for (String line :
        heap.lines().filter(line -> line.matches(".*heap.* used \\d+K.*")).toList()) {
      used += Long.parseLong(line.replaceAll(".*?heap.*? used (\\d+)K.*", "$1"));
    }
    return used + statusKib(process, "RssFile");
  }

  private static long statusKib(Process process, String field) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc", "" + process.pid(), "status"))) {
      if (line.startsWith(field + ":")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IOException("/proc/" + process.pid() + "/status: no " + field);
  }

  private void start(Workplace place) throws IOException, InterruptedException {
    System.out.println("\nstart until the control socket is there, median, ms");
    Path image = place.image("start.img", Math.min(options.sizeMib(), 256));
    startAfter(place, image, 0, false);
    startAfter(place, image, KEPT_BITMAPS, false);
    startAfter(place, image, KEPT_BITMAPS, true);
  }

  private void startAfter(Workplace place, Path image, int bitmaps, boolean killed)
      throws IOException, InterruptedException {
    String state = place.resolve("start.state" + bitmaps + killed).toString();
    List<Double> millis = new ArrayList<>();
    for (int i = 0; i <= options.rounds(); i++) {
      long startNanos = System.nanoTime();
      FleeceServer server =
          FleeceServer.start(options.root(), place.directory(), "start", image, "--state", state);
      double took = (System.nanoTime() - startNanos) / 1e6;
      if (i == 0) {
        new WithBitmaps(
                "nbdfleece", server.control(), "vda", server.plain().diskUri(), bitmaps, true)
            .begin();
        Load.Figures _ = LOADS.getLast().run(server.plain().diskUri(), 256, 1024);
      } else {
        millis.add(took);
      }
      if (killed) {
        server.process().destroyForcibly().waitFor();
      } else {
        server.stop();
      }
      Files.deleteIfExists(server.control());
    }
    millis.sort(Comparator.naturalOrder());
    System.out.printf(
        Locale.ROOT,
        "  %2d bitmaps, %-22s %,6.0f%n",
        bitmaps,
        killed ? "after kill -9" : "after a clean stop",
        millis.get(millis.size() / 2));
  }
}
