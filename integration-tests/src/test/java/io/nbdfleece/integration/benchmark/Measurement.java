// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.util.Map;

/// One turn of one subject, which has begun.
interface Measurement {
  Map<Metric, Double> take(Subject subject) throws IOException, InterruptedException;
}
