// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/// nbdcopy of a disk without a snapshot to null:.
final class P1PlainPull implements Workload {
  private static final List<Goal> GOALS = List.of(Goal.ofAll(Metric.MIB_PER_SECOND, 1.8));
  // A file of which less than this stays in the cache is a cold one.
  private static final double CACHED_PERCENT_MAX = 2;

  @Override
  public String id() {
    return "p1";
  }

  @Override
  public String title() {
    return "pull of a plain export (nbdcopy to null:)";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    for (Transport transport : Transport.values()) {
      List<Subject> subjects = bench.plain(transport);
      try {
        for (int connections : new int[] {1, 4}) {
          String title =
              transport.title()
                  + ", "
                  + connections
                  + (connections == 1 ? " connection" : " connections");
          Case one = new Case(title, List.of(Metric.MIB_PER_SECOND), GOALS);
          bench.measure(this, one, subjects, subject -> bench.pull(subject, connections));
        }
        if (transport == Transport.UNIX && bench.options().cold() == Options.Cold.YES) {
          cold(bench, subjects);
        }
      } finally {
        Bench.stop(subjects);
      }
    }
  }

  private void cold(Bench bench, List<Subject> subjects) throws IOException, InterruptedException {
    Case one = new Case("Unix, 4 connections, cold", List.of(Metric.MIB_PER_SECOND), List.of());
    List<Subject> ofFiles =
        subjects.stream().filter(subject -> subject.image().isPresent()).toList();
    bench.measure(this, one, ofFiles, subject -> cold(bench, subject));
  }

  private static Map<Metric, Double> cold(Bench bench, Subject subject)
      throws IOException, InterruptedException {
    double cached = bench.place().dropFromCache(subject.image().orElseThrow());
    if (cached > CACHED_PERCENT_MAX) {
      throw new IOException(
          Math.round(cached) + " % of the file could not be dropped from the cache");
    }
    return bench.pull(subject, 4);
  }
}
