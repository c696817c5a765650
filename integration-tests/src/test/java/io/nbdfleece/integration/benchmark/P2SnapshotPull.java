// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/// nbdcopy of a snapshot to null:, after the guest has overwritten a quarter of the disk, cluster
/// by cluster, at random.
final class P2SnapshotPull implements Workload {
  private static final List<Goal> GOALS =
      List.of(new Goal(Metric.MIB_PER_SECOND, QemuFleecing.NAME, 2));

  @Override
  public String id() {
    return "p2";
  }

  @Override
  public String title() {
    return "pull of a snapshot, a quarter of it overwritten";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = bench.fleecing(Bench.Tier.RAM, Bench.Tier.DISK);
    try {
      for (int connections : new int[] {1, 4}) {
        String title = connections == 1 ? "1 connection" : connections + " connections";
        Case one = new Case(title, List.of(Metric.MIB_PER_SECOND), GOALS);
        bench.measure(
            this,
            one,
            subjects,
            subject -> {
              overwriteQuarter(bench, subject);
              return bench.pull(subject, connections);
            });
      }
    } finally {
      Bench.stop(subjects);
    }
  }

  static void overwriteQuarter(Bench bench, Subject subject)
      throws IOException, InterruptedException {
    int sizeMib = bench.options().sizeMib();
    Map<Metric, Double> _ =
        Fio.randomWrites(Fio.CLUSTER_BYTES, 16)
            .requests(subject.diskUri(), sizeMib, (sizeMib << 4) / 4);
  }
}
