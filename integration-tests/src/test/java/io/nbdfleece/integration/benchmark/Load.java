// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Random writes of one size by fio's NBD engine, each at the beginning of a cluster of 64 KiB.
/// With a fresh snapshot most of them have to preserve one: of as many writes as a quarter of the
/// clusters, 88 in 100 hit one that was not hit before.
record Load(String size, int blockBytes, int queueDepth) {
  private static final int CLUSTER_BYTES = 65536;

  Figures run(String uri, int diskMib, int writes) throws IOException, InterruptedException {
    String out =
        Tool.run(
            List.of(
                "fio",
                "--name=load",
                "--ioengine=nbd",
                "--uri=" + uri,
                "--rw=randwrite",
                "--bs=" + blockBytes,
                "--blockalign=" + CLUSTER_BYTES,
                "--iodepth=" + queueDepth,
                "--size=" + diskMib + "m",
                "--number_ios=" + writes,
                "--randrepeat=0",
                "--output-format=json"));
    // fio prints notes before the document.
    JsonNode write =
        JsonMapper.shared()
            .readTree(out.substring(out.indexOf('{')))
            .path("jobs")
            .get(0)
            .path("write");
    return new Figures(
        write.path("iops").asDouble(),
        write.path("clat_ns").path("percentile").path("99.000000").asDouble() / 1000);
  }

  @Override
  public String toString() {
    return size + " depth " + queueDepth;
  }

  /// What fio measured.
  record Figures(double perSecond, double p99Micros) {}
}
