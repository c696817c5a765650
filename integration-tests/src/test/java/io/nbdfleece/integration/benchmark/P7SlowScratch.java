// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// A burst of guest writes, each of which has to preserve a cluster, with a scratch disk that takes
/// 32 MiB a second: first as much as the RAM tier holds, then three times that.
final class P7SlowScratch implements Workload {
  private static final int SCRATCH_MIB_PER_SECOND = 32;
  private static final int RAM_MIB = 64;
  private static final double TIMES_MAX = 2;
  private static final double STALL_MILLIS_MAX = 100;
  private static final Fio LOAD = Fio.randomWrites(65536, 4);
  private static final List<Metric> METRICS =
      List.of(Metric.IOPS, Metric.P99_MICROS, Metric.MAX_MILLIS);

  @Override
  public String id() {
    return "p7";
  }

  @Override
  public String title() {
    return "64 KiB writes that preserve, with 64 MiB of RAM and a scratch disk of 32 MiB/s";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    SlowDisk slow;
    try {
      slow = SlowDisk.mount(bench.programs(), bench.place(), SCRATCH_MIB_PER_SECOND);
    } catch (IOException e) {
      bench.report().note("not measured here: " + e.getMessage());
      return;
    }
    try {
      double rate = slow.mibPerSecond();
      String measured = String.format(Locale.ROOT, "the scratch disk takes %.1f MiB/s", rate);
      bench.report().note(measured);
      if (rate > 2 * SCRATCH_MIB_PER_SECOND) {
        throw new IOException(measured + ": not slow enough");
      }
      run(bench, slow);
    } finally {
      slow.unmount();
    }
  }

  private void run(Bench bench, SlowDisk slow) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    List<Nbdfleece> servers = new ArrayList<>();
    try {
      for (Build build : bench.options().builds()) {
        String id = "slow" + servers.size();
        Nbdfleece server =
            Nbdfleece.start(
                build,
                bench.place(),
                build.title(),
                id,
                bench.image(id),
                List.of("--ram", RAM_MIB + "M", "--scratch", slow.directory().toString()));
        servers.add(server);
        subjects.add(server.withoutSnapshot());
        subjects.add(server.snapshot());
        warmUp(bench, server);
      }
      if (bench.wanted(QemuDaemon.PROGRAM, QemuFleecing.NAME)) {
        subjects.add(
            new QemuFleecing(
                bench.programs(),
                bench.place(),
                bench.image("qsd"),
                QemuFleecing.Format.RAW,
                slow.directory()));
      }
      Case inRam = new Case("as much as RAM holds", METRICS, List.of());
      bench.measure(this, inRam, subjects, subject -> write(bench, subject, RAM_MIB * 3 / 4));
      Case beyond = new Case("three times that", METRICS, List.of());
      bench.measure(this, beyond, subjects, subject -> write(bench, subject, RAM_MIB * 9 / 4));
      verdict(bench, inRam, beyond);
    } finally {
      Bench.stop(subjects);
      for (Nbdfleece server : servers) {
        server.stop();
      }
    }
  }

  private void verdict(Bench bench, Case inRam, Case beyond) {
    for (Build build : bench.options().builds()) {
      String name = build.title();
      double times =
          inRam.median(name, Metric.P99_MICROS)
              / inRam.median(name + Nbdfleece.WITHOUT, Metric.P99_MICROS);
      bench
          .report()
          .goal(
              this,
              inRam,
              "p99 while RAM lasts ≤ 2 × without a snapshot",
              name,
              times,
              times <= TIMES_MAX);
      double longest = beyond.median(name, Metric.MAX_MILLIS);
      bench
          .report()
          .goal(
              this,
              beyond,
              "longest write beyond that ≤ 100 ms",
              name,
              longest,
              longest <= STALL_MILLIS_MAX);
    }
  }

  private static void warmUp(Bench bench, Nbdfleece server)
      throws IOException, InterruptedException {
    Subject subject = server.snapshot();
    WarmUp.run(
        bench,
        server.daemon(),
        () -> {
          subject.begin();
          Map<Metric, Double> _ = write(bench, subject, RAM_MIB / 2);
          subject.end();
        });
  }

  private static Map<Metric, Double> write(Bench bench, Subject subject, int mib)
      throws IOException, InterruptedException {
    return LOAD.requests(subject.diskUri(), bench.options().sizeMib(), mib << 4);
  }
}
