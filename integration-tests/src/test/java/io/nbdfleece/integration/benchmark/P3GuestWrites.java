// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.List;

/// Guest writes without a snapshot.
final class P3GuestWrites implements Workload {
  @Override
  public String id() {
    return "p3";
  }

  @Override
  public String title() {
    return "guest writes, no snapshot (fio, one connection)";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = bench.plain(Transport.UNIX);
    try {
      for (Fio load : GuestLoads.ALL) {
        List<Goal> goals =
            List.of(
                new Goal(Metric.IOPS, "nbdkit", load.equals(GuestLoads.SMALL_ALONE) ? 1.1 : 1),
                new Goal(Metric.IOPS, QemuNbd.PROGRAM, 1.6));
        Case one = new Case(load.title(), List.of(Metric.IOPS, Metric.P99_MICROS), goals);
        bench.measure(
            this,
            one,
            subjects,
            subject ->
                load.forSeconds(
                    subject.diskUri(), bench.options().sizeMib(), bench.options().seconds()));
      }
    } finally {
      Bench.stop(subjects);
    }
  }
}
