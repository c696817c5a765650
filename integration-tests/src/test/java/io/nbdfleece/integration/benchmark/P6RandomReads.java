// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// Random reads by eight clients: of the snapshot with a quarter overwritten, beside peers that
/// read a plain file.
final class P6RandomReads implements Workload {
  private static final int CLIENTS = 8;

  @Override
  public String id() {
    return "p6";
  }

  @Override
  public String title() {
    return "random reads of a snapshot by 8 clients; of peers without snapshots, of the disk";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>(bench.fleecing(Bench.Tier.RAM, Bench.Tier.DISK));
    bench.plain(Transport.UNIX).stream().filter(Subject::isPeer).forEach(subjects::add);
    try {
      for (Fio load :
          List.of(Fio.randomReads(4096, 4, CLIENTS), Fio.randomReads(65536, 4, CLIENTS))) {
        Case one =
            new Case(
                load.title(),
                List.of(Metric.IOPS, Metric.P99_MICROS),
                List.of(new Goal(Metric.IOPS, "nbdkit file", 1)));
        bench.measure(
            this,
            one,
            subjects,
            subject -> {
              if (!subject.pullUri().equals(subject.diskUri())) {
                P2SnapshotPull.overwriteQuarter(bench, subject);
              }
              return load.forSeconds(
                  subject.pullUri(), bench.options().sizeMib(), bench.options().seconds());
            });
      }
    } finally {
      Bench.stop(subjects);
    }
  }
}
