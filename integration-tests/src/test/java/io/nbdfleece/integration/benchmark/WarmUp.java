// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.Map;

/// Keeps a fresh server busy until its JVM has compiled what counts: until its compilers have next
/// to nothing to do any more. What they take is missing elsewhere, on two processors above all.
final class WarmUp {
  /// Of the time, all compilers together.
  private static final double RESTING_SHARE = 0.05;

  private static final int PULL_CONNECTIONS = 4;
  private static final int READING_CLIENTS = 8;
  private static final double READING_SECONDS = 0.5;

  private WarmUp() {}

  /// A turn of work for the server.
  interface Turn {
    void run() throws IOException, InterruptedException;
  }

  /// With all that the workloads do, short.
  static void run(Bench bench, Nbdfleece server) throws IOException, InterruptedException {
    Subject subject = server.snapshot();
    int sizeMib = bench.options().sizeMib();
    run(
        bench,
        server.daemon(),
        () -> {
          subject.begin();
          write(bench, subject, GuestLoads.SMALL_ALONE, 2 * sizeMib);
          write(bench, subject, GuestLoads.SMALL, 8 * sizeMib);
          write(bench, subject, GuestLoads.CLUSTERS, 4 * sizeMib);
          write(bench, subject, GuestLoads.SEQUENTIAL, sizeMib / 4);
          Map<Metric, Double> _ =
              Fio.randomReads(4096, 4, READING_CLIENTS)
                  .forSeconds(subject.pullUri(), sizeMib, READING_SECONDS);
          double _ = bench.pullSeconds(subject, PULL_CONNECTIONS);
          double _ = bench.pullSeconds(server.disk(Transport.TCP), 1);
          subject.end();
        });
  }

  private static void write(Bench bench, Subject subject, Fio load, int count)
      throws IOException, InterruptedException {
    Map<Metric, Double> _ =
        load.perCluster().requests(subject.diskUri(), bench.options().sizeMib(), count);
  }

  /// Has turns for as long as it takes, within the limits of the options.
  static void run(Bench bench, Daemon server, Turn turn) throws IOException, InterruptedException {
    bench.report().progress("warming up a JVM");
    Options options = bench.options();
    long pid = server.process().pid();
    double seconds = 0;
    double share;
    do {
      double compiledSeconds = ProcessTimes.compilerSeconds(pid);
      long startNanos = System.nanoTime();
      turn.run();
      double took = (System.nanoTime() - startNanos) / 1e9;
      seconds += took;
      share = (ProcessTimes.compilerSeconds(pid) - compiledSeconds) / took;
    } while (seconds < options.warmUpSeconds()
        || (share > RESTING_SHARE && seconds < options.warmUpSecondsMax()));
    bench.place().settle();
  }
}
