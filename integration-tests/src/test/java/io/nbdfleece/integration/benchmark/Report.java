// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Prints each case when it is measured, and keeps all for the JSON file.
final class Report {
  private static final int NAME_WIDTH = 34;

  private final PrintStream out;
  private final boolean isTerminal = isTerminal();
  private final ObjectNode document = Json.object();
  private final ArrayNode cases;
  private final ArrayNode notes;

  Report(PrintStream out) {
    this.out = out;
    document.put("format", "nbdfleece-bench-1");
    cases = document.putArray("cases");
    notes = document.putArray("notes");
  }

  // Null aware checkers take System.console() for nullable, others say that it never is.
  @SuppressWarnings("SystemConsoleNull")
  private static boolean isTerminal() {
    return System.console() != null && System.console().isTerminal();
  }

  /// A fact about this run: machine, versions, options.
  void fact(String name, String value) {
    out.printf("%-12s %s%n", name, value);
    document.put(name, value);
  }

  void heading(Workload workload) {
    out.printf("%n%s  %s%n", workload.id().toUpperCase(Locale.ROOT), workload.title());
  }

  /// Something that the reader has to know.
  void note(String text) {
    out.println("  note: " + text);
    notes.add(text);
  }

  /// Where it is; gone when the next thing is printed.
  void progress(String text) {
    if (isTerminal) {
      out.printf("  %-60.60s\r", text);
    }
  }

  void add(Workload workload, Case one) {
    out.printf("  %-" + NAME_WIDTH + "s", one.title());
    for (Metric metric : one.metrics()) {
      out.printf("%11s %17s %6s", metric.unit(), "min–max", "ratio");
    }
    out.println();
    for (String subject : one.subjects()) {
      line(one, subject);
      for (Metric metric : one.metrics()) {
        cases.add(json(workload, one, subject, metric));
      }
    }
    one.goals().forEach(goal -> verdict(one, goal));
  }

  private void line(Case one, String subject) {
    out.printf("    %-" + (NAME_WIDTH - 2) + "s", subject);
    Optional<String> failure = one.failure(subject);
    if (failure.isPresent()) {
      out.println("  failed: " + failure.get().lines().findFirst().orElse(""));
      return;
    }
    for (Metric metric : one.metrics()) {
      Figures figures = one.of(subject, metric);
      double ratio = one.ratio(subject, metric, _ -> true);
      out.printf(
          "%11s %17s %6s",
          number(figures.median()),
          number(figures.min()) + "–" + number(figures.max()),
          Double.isNaN(ratio) ? "" : String.format(Locale.ROOT, "%.2f", ratio));
    }
    out.println();
  }

  private void verdict(Case one, Goal goal) {
    Predicate<String> concerned = goal::concerns;
    Optional<String> peer = one.best(goal.metric(), concerned);
    if (peer.isEmpty()) {
      return;
    }
    for (String subject : one.subjects().stream().filter(name -> !Case.isPeer(name)).toList()) {
      double ratio = one.ratio(subject, goal.metric(), concerned);
      out.printf(
          Locale.ROOT,
          "    goal %s ≥ %.1f × %s: %s %.2f, %s%n",
          goal.metric().unit(),
          goal.factor(),
          peer.get(),
          subject,
          ratio,
          ratio >= goal.factor() ? "met" : "missed");
    }
  }

  private static ObjectNode json(Workload workload, Case one, String subject, Metric metric) {
    Figures figures = one.of(subject, metric);
    ObjectNode node =
        Json.object()
            .put("workload", workload.id())
            .put("case", one.title())
            .put("subject", subject)
            .put("peer", Case.isPeer(subject))
            .put("metric", metric.unit());
    one.failure(subject).ifPresent(reason -> node.put("failure", reason));
    ArrayNode samples = node.putArray("samples");
    figures.samples().forEach(samples::add);
    if (!figures.samples().isEmpty()) {
      node.put("median", figures.median()).put("min", figures.min()).put("max", figures.max());
      double ratio = one.ratio(subject, metric, _ -> true);
      if (!Double.isNaN(ratio)) {
        node.put("ratio-to-best-peer", ratio);
      }
    }
    return node;
  }

  // Three digits that count.
  private static String number(double figure) {
    if (Double.isNaN(figure)) {
      return "-";
    }
    double size = Math.abs(figure);
    return String.format(
        Locale.ROOT,
        size >= 100 ? "%,.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f",
        figure);
  }

  void write(Path file) throws IOException {
    Files.writeString(file, Json.pretty(document) + "\n");
  }
}
