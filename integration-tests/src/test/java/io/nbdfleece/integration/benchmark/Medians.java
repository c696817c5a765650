// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// Figures of several rounds by subject and row of the table.
final class Medians {
  private final Map<String, List<Double>> figures = new TreeMap<>();

  void note(Subject subject, String row, double figure) {
    figures.computeIfAbsent(subject.name() + row, _ -> new ArrayList<>()).add(figure);
  }

  /// Not a number when there is none.
  double of(Subject subject, String row) {
    List<Double> sorted = new ArrayList<>(figures.getOrDefault(subject.name() + row, List.of()));
    sorted.sort(Comparator.naturalOrder());
    return sorted.isEmpty() ? Double.NaN : sorted.get(sorted.size() / 2);
  }

  void clear() {
    figures.clear();
  }
}
