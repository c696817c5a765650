// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// From the start of the program until it takes connections, and the rate of the first pull after
/// that, in percent of what the same server gives when it is warm: the median of some pulls, after
/// others.
final class P9StartUp implements Workload {
  private static final int WARMING_PULLS = 5;
  private static final int WARM_PULLS = 5;
  private static final int READY_MILLIS_MAX = 500;
  private static final int WARM_PERCENT_MIN = 70;

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
    Report report = bench.report();
    for (Build build : bench.options().builds()) {
      String name = build.title();
      double ready = one.median(name, Metric.READY_MILLIS);
      report.goal(this, one, "ready < 500 ms", name, ready, ready < READY_MILLIS_MAX);
      double warm = one.median(name, Metric.PERCENT_OF_WARM);
      report.goal(this, one, "first pull ≥ 70 % of warm", name, warm, warm >= WARM_PERCENT_MIN);
    }
  }

  private static Map<Metric, Double> start(Bench bench, Subject subject)
      throws IOException, InterruptedException {
    // Once more: the first start has the program's files in the page cache, like the image.
    subject.stop();
    subject.begin();
    double readyMillis = subject.daemon().readyMillis();
    double first = bench.pullSeconds(subject, 4);
    Figures _ = pulls(bench, subject, WARMING_PULLS);
    double warm = pulls(bench, subject, WARM_PULLS).median();
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

  private static Figures pulls(Bench bench, Subject subject, int count)
      throws IOException, InterruptedException {
    List<Double> seconds = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      seconds.add(bench.pullSeconds(subject, 4));
    }
    return new Figures(seconds);
  }
}
