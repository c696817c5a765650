// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// Guest writes to a disk with a fresh snapshot. As many small writes as half of the clusters, each
/// at the beginning of one picked at random: 79 in 100 are the first to theirs and preserve it.
/// Bigger ones never come to the same place twice: half of the disk at 64 KiB, all of it at 1 MiB.
final class P4PreservingWrites implements Workload {
  private static final double SMALL_TIMES_MAX = 1.3;

  @Override
  public String id() {
    return "p4";
  }

  @Override
  public String title() {
    return "guest writes, each turn with a fresh snapshot";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    for (Build build : bench.options().builds()) {
      subjects.add(bench.nbdfleece(build, Bench.Tier.RAM).withoutSnapshot());
    }
    subjects.addAll(bench.fleecing(Bench.Tier.RAM, Bench.Tier.DISK));
    int sizeMib = bench.options().sizeMib();
    try {
      for (Fio load : GuestLoads.ALL) {
        double factor = load.blockBytes() < Fio.CLUSTER_BYTES ? 3 : 2;
        long count = load.equals(GuestLoads.SEQUENTIAL) ? sizeMib : (sizeMib << 4) / 2;
        Case one =
            new Case(
                load.title(),
                List.of(Metric.IOPS, Metric.P99_MICROS),
                List.of(new Goal(Metric.IOPS, QemuFleecing.NAME, factor)));
        Fio perCluster = load.perCluster();
        bench.measure(
            this, one, subjects, subject -> perCluster.requests(subject.diskUri(), sizeMib, count));
        cost(bench, one, load.blockBytes() < Fio.CLUSTER_BYTES);
      }
    } finally {
      Bench.stop(subjects);
    }
  }

  // How the same writes stand with and without a snapshot.
  private void cost(Bench bench, Case one, boolean isSmall) {
    for (Build build : bench.options().builds()) {
      double without = one.median(build.title() + Nbdfleece.WITHOUT, Metric.IOPS);
      double times = without / one.median(build.title(), Metric.IOPS);
      if (isSmall) {
        String goal = "≤ 1.3 × the time without a snapshot";
        bench.report().goal(this, one, goal, build.title(), times, times <= SMALL_TIMES_MAX);
      } else if (!Double.isNaN(times)) {
        bench
            .report()
            .note(
                String.format(
                    Locale.ROOT, "%s: %.2f × the time without a snapshot", build.title(), times));
      }
    }
  }
}
