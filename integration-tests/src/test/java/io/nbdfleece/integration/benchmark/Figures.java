// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/// What the rounds gave for one subject, one case and one metric. A round that could not be
/// measured has no figure.
record Figures(List<Double> samples) {
  Figures {
    samples = List.copyOf(samples);
  }

  /// Of an even number the mean of the middle two; not a number when there is none.
  double median() {
    if (samples.isEmpty()) {
      return Double.NaN;
    }
    double[] sorted = samples.stream().mapToDouble(Double::doubleValue).toArray();
    Arrays.sort(sorted);
    int half = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  double min() {
    return samples.isEmpty() ? Double.NaN : Collections.min(samples);
  }

  double max() {
    return samples.isEmpty() ? Double.NaN : Collections.max(samples);
  }

  Figures and(double sample) {
    List<Double> more = new ArrayList<>(samples);
    more.add(sample);
    return new Figures(more);
  }
}
