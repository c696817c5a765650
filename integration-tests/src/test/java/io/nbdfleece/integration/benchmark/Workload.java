// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;

/// One row of the table in BENCHMARKING.md, with its cases.
interface Workload {
  /// Such as `p1`.
  String id();

  /// What is measured, in a line.
  String title();

  /// Measures all its cases and notes the figures in the report. Fails when one of its subjects
  /// cannot do what it has to; the other workloads go on.
  void run(Bench bench) throws IOException, InterruptedException;
}
