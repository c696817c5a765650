// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A load by fio's NBD engine: requests of one size from one or more clients.
///
/// @param pattern fio's `rw`
/// @param alignBytes requests begin at multiples of it
/// @param clients connections, each with `depth` requests in flight
record Fio(String pattern, int blockBytes, int alignBytes, int depth, int clients) {
  /// Of QEMU. Nbdfleece's own are at most as large, unless it is told otherwise.
  static final int CLUSTER_BYTES = 65536;

  static Fio randomWrites(int blockBytes, int depth) {
    return new Fio("randwrite", blockBytes, blockBytes, depth, 1);
  }

  static Fio sequentialWrites(int blockBytes, int depth) {
    return new Fio("write", blockBytes, blockBytes, depth, 1);
  }

  static Fio randomReads(int blockBytes, int depth, int clients) {
    return new Fio("randread", blockBytes, blockBytes, depth, clients);
  }

  /// The same with each request at the beginning of a cluster, if it is smaller than one.
  Fio perCluster() {
    return new Fio(pattern, blockBytes, Math.max(blockBytes, CLUSTER_BYTES), depth, clients);
  }

  /// What it is, for the title of a case.
  String title() {
    String size = blockBytes < 1 << 20 ? (blockBytes >> 10) + " KiB" : (blockBytes >> 20) + " MiB";
    String order = pattern.startsWith("rand") ? "" : " sequential";
    String who = clients == 1 ? "" : ", " + clients + " clients";
    return size + order + who + ", depth " + depth;
  }

  /// Runs it for that time.
  Map<Metric, Double> forSeconds(String uri, int diskMib, double seconds)
      throws IOException, InterruptedException {
    long millis = Math.round(seconds * 1000);
    return run(uri, diskMib, List.of("--time_based", "--runtime=" + millis + "ms"));
  }

  /// Runs that many requests of each client.
  Map<Metric, Double> requests(String uri, int diskMib, long count)
      throws IOException, InterruptedException {
    return run(uri, diskMib, List.of("--number_ios=" + count));
  }

  private Map<Metric, Double> run(String uri, int diskMib, List<String> limit)
      throws IOException, InterruptedException {
    return parse(Tool.run(command(uri, diskMib, limit)));
  }

  List<String> command(String uri, int diskMib, List<String> more) {
    List<String> command = new ArrayList<>();
    command.addAll(List.of("fio", "--name=load", "--ioengine=nbd", "--uri=" + uri));
    command.addAll(List.of("--rw=" + pattern, "--bs=" + blockBytes));
    command.addAll(List.of("--blockalign=" + alignBytes, "--iodepth=" + depth));
    command.addAll(List.of("--numjobs=" + clients, "--thread", "--group_reporting"));
    command.addAll(List.of("--size=" + diskMib + "m", "--randrepeat=0", "--output-format=json"));
    command.addAll(more);
    return command;
  }

  /// What fio measured.
  Map<Metric, Double> parse(String out) throws IOException {
    // fio prints notes before the document.
    int start = out.indexOf('{');
    if (start < 0) {
      throw new IOException("fio: printed no figures\n" + out);
    }
    JsonNode job = JsonMapper.shared().readTree(out.substring(start)).path("jobs").get(0);
    int error = job.path("error").asInt();
    if (error != 0) {
      throw new IOException("fio: error " + error + "\n" + out);
    }
    JsonNode side = job.path(pattern.contains("read") ? "read" : "write");
    return Map.of(
        Metric.IOPS,
        side.path("iops").asDouble(),
        Metric.P99_MICROS,
        side.path("clat_ns").path("percentile").path("99.000000").asDouble() / 1000,
        Metric.MAX_MILLIS,
        side.path("clat_ns").path("max").asDouble() / 1e6);
  }
}
