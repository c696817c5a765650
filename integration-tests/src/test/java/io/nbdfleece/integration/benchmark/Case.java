// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/// One heading of a workload: what all its subjects did alike, and the figures.
final class Case {
  private final String title;
  private final List<Metric> metrics;
  private final List<Goal> goals;
  private final Map<String, Map<Metric, Figures>> figures = new LinkedHashMap<>();
  private final Map<String, String> failures = new LinkedHashMap<>();

  Case(String title, List<Metric> metrics, List<Goal> goals) {
    this.title = title;
    this.metrics = List.copyOf(metrics);
    this.goals = List.copyOf(goals);
  }

  String title() {
    return title;
  }

  List<Metric> metrics() {
    return metrics;
  }

  List<Goal> goals() {
    return goals;
  }

  /// Names, in the order of their first turn.
  List<String> subjects() {
    return List.copyOf(figures.keySet());
  }

  void note(String subject, Map<Metric, Double> measured) {
    Map<Metric, Figures> own = figures.computeIfAbsent(subject, _ -> new LinkedHashMap<>());
    measured.forEach(
        (metric, sample) ->
            own.merge(metric, new Figures(List.of(sample)), (all, _) -> all.and(sample)));
  }

  /// It could not do it: its line says why.
  void fail(String subject, String reason) {
    figures.computeIfAbsent(subject, _ -> new LinkedHashMap<>());
    failures.put(subject, reason);
  }

  Optional<String> failure(String subject) {
    return Optional.ofNullable(failures.get(subject));
  }

  Figures of(String subject, Metric metric) {
    return figures.getOrDefault(subject, Map.of()).getOrDefault(metric, new Figures(List.of()));
  }

  /// The median of one that did all its turns; not a number for others.
  double median(String subject, Metric metric) {
    return failures.containsKey(subject) ? Double.NaN : of(subject, metric).median();
  }

  static boolean isPeer(String subject) {
    return !subject.startsWith(Nbdfleece.NAME);
  }

  /// Whether the goals concern it.
  static boolean isMeasured(String subject) {
    return !isPeer(subject) && !subject.endsWith(Nbdfleece.WITHOUT);
  }

  /// Whether it does the same job: one that keeps all in memory is a yardstick only.
  private static boolean competes(String subject) {
    return isPeer(subject) && !subject.startsWith(Nbdkit.MEMORY);
  }

  /// The best median among the peers that `concerned` names and that serve a file.
  Optional<String> best(Metric metric, Predicate<String> concerned) {
    return figures.keySet().stream()
        .filter(Case::competes)
        .filter(concerned)
        .filter(subject -> !Double.isNaN(median(subject, metric)))
        .max(Comparator.comparingDouble(name -> metric.ratio(median(name, metric), 1)));
  }

  /// How often better the subject is than the best peer; not a number without peers.
  double ratio(String subject, Metric metric, Predicate<String> concerned) {
    return best(metric, concerned)
        .map(peer -> metric.ratio(median(subject, metric), median(peer, metric)))
        .orElse(Double.NaN);
  }
}
