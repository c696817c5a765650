// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.List;
import java.util.function.IntFunction;

/// How P1, P3 and P4 grow with connections and with requests in flight. How they grow with
/// processors is seen by running it under `taskset`.
final class Scaling implements Workload {
  private static final List<Integer> CONNECTIONS = List.of(1, 2, 4, 8);
  private static final List<Integer> DEPTHS = List.of(1, 4, 16, 64);
  private static final List<Metric> RATES = List.of(Metric.IOPS, Metric.P99_MICROS);

  @Override
  public String id() {
    return "scaling";
  }

  @Override
  public String title() {
    return "pulls by connections, 4 KiB writes by depth, without and with a fresh snapshot";
  }

  @Override
  public void run(Bench bench) throws IOException, InterruptedException {
    List<Subject> plain = bench.plain(Transport.UNIX);
    int sizeMib = bench.options().sizeMib();
    try {
      each(
          bench,
          plain,
          CONNECTIONS,
          count ->
              new Case("pull, connections: " + count, List.of(Metric.MIB_PER_SECOND), List.of()),
          count -> subject -> bench.pull(subject, count));
      each(
          bench,
          plain,
          DEPTHS,
          depth -> new Case("writes, depth " + depth, RATES, List.of()),
          depth ->
              subject ->
                  Fio.randomWrites(4096, depth)
                      .forSeconds(subject.diskUri(), sizeMib, bench.options().seconds()));
    } finally {
      Bench.stop(plain);
    }
    List<Subject> fleecing = bench.fleecing(Bench.Tier.RAM);
    try {
      each(
          bench,
          fleecing,
          DEPTHS,
          depth -> new Case("preserving writes, depth " + depth, RATES, List.of()),
          depth ->
              subject ->
                  Fio.randomWrites(4096, depth)
                      .perCluster()
                      .requests(subject.diskUri(), sizeMib, sizeMib << 3));
    } finally {
      Bench.stop(fleecing);
    }
  }

  private void each(
      Bench bench,
      List<Subject> subjects,
      List<Integer> steps,
      IntFunction<Case> title,
      IntFunction<Measurement> measurement)
      throws IOException, InterruptedException {
    for (int step : steps) {
      bench.measure(this, title.apply(step), subjects, measurement.apply(step));
    }
  }
}
