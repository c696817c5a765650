// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// Guest writes while nbdcopy pulls the snapshot as fast as it can. A guest that asks for 2,000
/// writes a second is the same burden for every server, so that its latencies can be compared; one
/// that asks for all it can get shows how the two share the machine. The snapshot is pulled over
/// and over until the time of a measurement is up.
final class P5WritesDuringPull implements Workload {
  private static final int PACED_IOPS = 2000;
  private static final int SECONDS_MAX = 300;
  private static final int POLL_MILLIS = 1;
  private static final List<Metric> METRICS =
      List.of(Metric.MIB_PER_SECOND, Metric.IOPS, Metric.P99_MICROS, Metric.MAX_MILLIS);
  private static final List<Goal> GOALS =
      List.of(
          new Goal(Metric.P99_MICROS, QemuFleecing.NAME, 2),
          new Goal(Metric.MIB_PER_SECOND, QemuFleecing.NAME, 1));

  @Override
  public String id() {
    return "p5";
  }

  @Override
  public String title() {
    return "guest writes of 4 KiB while a client pulls the snapshot (4 connections)";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = bench.fleecing(Bench.Tier.RAM, Bench.Tier.DISK);
    Fio paced = Fio.randomWrites(4096, 4).perCluster();
    Fio busy = GuestLoads.SMALL.perCluster();
    try {
      bench.measure(
          this,
          new Case("2,000 writes a second", METRICS, GOALS),
          subjects,
          subject -> together(bench, subject, paced, List.of("--rate_iops=" + PACED_IOPS)));
      bench.measure(
          this,
          new Case("as many as it can, depth 32", METRICS, GOALS),
          subjects,
          subject -> together(bench, subject, busy, List.of()));
    } finally {
      Bench.stop(subjects);
    }
  }

  // The pull begins with the first write and the guest goes on until the last one is done, so that
  // all figures are of the same time.
  private static Map<Metric, Double> together(
      Bench bench, Subject subject, Fio load, List<String> more)
      throws IOException, InterruptedException {
    Workplace place = bench.place();
    Path out = place.resolve("fio.json");
    Path begun = place.resolve("fio.begun");
    Files.deleteIfExists(begun);
    Files.deleteIfExists(out);
    List<String> command = load.command(subject.diskUri(), bench.options().sizeMib(), more);
    command.addAll(List.of("--time_based", "--runtime=" + SECONDS_MAX, "--output=" + out));
    command.add("--exec_prerun=touch " + begun);
    // fio writes what that prints into a file there.
    Process guest =
        place.start(
            new ProcessBuilder(command)
                .directory(place.directory().toFile())
                .redirectErrorStream(true)
                .redirectOutput(place.resolve("fio.log").toFile()));
    int pulls = 0;
    double pullSeconds = 0;
    try {
      while (!Files.exists(begun) && guest.isAlive()) {
        boolean _ = guest.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS);
      }
      do {
        pullSeconds += bench.pullSeconds(subject, 4);
        pulls++;
      } while (guest.isAlive() && pullSeconds < bench.options().seconds());
      if (!guest.isAlive()) {
        String said = Files.readString(place.resolve("fio.log"));
        throw new IOException(Tool.failure(command, "ended before the pull", said));
      }
    } finally {
      // It prints what it measured until then.
      Tool.stop(guest);
    }
    Map<Metric, Double> figures = new HashMap<>(load.parse(Files.readString(out)));
    figures.put(Metric.MIB_PER_SECOND, pulls * bench.options().sizeMib() / pullSeconds);
    return figures;
  }
}
