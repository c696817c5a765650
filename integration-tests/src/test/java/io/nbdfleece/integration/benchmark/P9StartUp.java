// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// From the start of the program until it takes connections, and the rate of the first pull after
/// that, in percent of what the same server gives when it is warm.
final class P9StartUp implements Workload {
  private static final int WARMING_PULLS = 5;

  @Override
  public String id() {
    return "p9";
  }

  @Override
  public String title() {
    return "start, and the first pull after it (4 connections)";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> subjects = new ArrayList<>();
    for (Build build : bench.options().builds()) {
      subjects.add(new Fresh(build, bench.place(), bench.image("fresh"), List.of()));
    }
    bench.plain(Transport.UNIX).stream()
        .filter(Subject::isPeer)
        .filter(subject -> subject.image().isPresent())
        .forEach(subjects::add);
    Case one =
        new Case(
            "each turn started afresh",
            List.of(Metric.READY_MILLIS, Metric.MIB_PER_SECOND, Metric.PERCENT_OF_WARM),
            List.of());
    try {
      bench.measure(this, one, subjects, subject -> start(bench, subject));
    } finally {
      Bench.stop(subjects);
    }
    for (Build build : bench.options().builds()) {
      double ready = one.of(build.title(), Metric.READY_MILLIS).median();
      double warm = one.of(build.title(), Metric.PERCENT_OF_WARM).median();
      bench
          .report()
          .note(
              build.title()
                  + ": goal ready < 500 ms: "
                  + (ready < 500 ? "met" : "missed")
                  + "; goal first pull ≥ 70 % of warm: "
                  + (warm >= 70 ? "met" : "missed"));
    }
  }

  private static Map<Metric, Double> start(Bench bench, Subject subject)
      throws IOException, InterruptedException {
    double readyMillis = subject.daemon().readyMillis();
    double first = bench.pullSeconds(subject, 4);
    double warm = first;
    for (int i = 0; i < WARMING_PULLS; i++) {
      warm = Math.min(warm, bench.pullSeconds(subject, 4));
    }
    // The next turn starts it again.
    subject.stop();
    return Map.of(
        Metric.READY_MILLIS,
        readyMillis,
        Metric.MIB_PER_SECOND,
        bench.options().sizeMib() / first,
        Metric.PERCENT_OF_WARM,
        100 * warm / first);
  }
}
