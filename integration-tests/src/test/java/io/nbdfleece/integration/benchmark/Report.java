// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Prints each case when it is measured, in lines of at most 100 columns, and keeps all for the
/// JSON file. What was not measured has no figure, and meets no goal.
final class Report {
  private static final int NAME_WIDTH = 34;
  private static final int METRICS_PER_LINE = 2;
  private static final int LINE_WIDTH = 100;
  private static final int FAILURE_WIDTH = LINE_WIDTH - NAME_WIDTH;

  private final PrintStream out;
  private final boolean isTerminal;
  private final ObjectNode document = Json.object();
  private final ArrayNode cases;
  private final ArrayNode goals;
  private final ArrayNode notes;
  private boolean progressShown;
  private int failureCount;

  /// @param isTerminal whether somebody looks at it who wants to know where it is
  Report(PrintStream out, boolean isTerminal) {
    this.out = out;
    this.isTerminal = isTerminal;
    document.put("format", "nbdfleece-bench-1");
    cases = document.putArray("cases");
    goals = document.putArray("goals");
    notes = document.putArray("notes");
  }

  /// A fact about this run: machine, versions, options.
  void fact(String name, String value) {
    wrapped(String.format(Locale.ROOT, "%-20s", name), " ".repeat(20), value);
    document.put(name, value);
  }

  void heading(Workload workload) {
    lines()
        .printf(
            Locale.ROOT, "%n%s  %s%n", workload.id().toUpperCase(Locale.ROOT), workload.title());
  }

  /// Something that the reader has to know.
  void note(String text) {
    wrapped("  note:", "    ", text);
    notes.add(text);
  }

  /// What a workload took, of the user's time.
  void took(Workload workload, double seconds) {
    lines().printf(Locale.ROOT, "  (%s took %.0f s)%n", workload.id(), seconds);
    document.withObjectProperty("seconds").put(workload.id(), Math.round(seconds));
  }

  /// A workload that ended before its time: it counts as a failure.
  void broken(Workload workload, String reason) {
    failureCount++;
    note(workload.id() + " failed, and has no more figures than these: " + firstLine(reason));
  }

  private static String firstLine(String text) {
    return text.lines().findFirst().orElse("");
  }

  /// Cases and workloads that failed.
  int failureCount() {
    return failureCount;
  }

  /// Where it is; gone when the next thing is printed.
  void progress(String text) {
    if (isTerminal) {
      out.printf(Locale.ROOT, "\r\033[K  %.90s", text);
      out.flush();
      progressShown = true;
    }
  }

  // Where the next line goes.
  private PrintStream lines() {
    if (progressShown) {
      out.print("\r\033[K");
      progressShown = false;
    }
    return out;
  }

  // Words in as many lines as they need.
  private void wrapped(String head, String indent, String text) {
    StringBuilder line = new StringBuilder(head);
    for (String word : text.strip().split("\\s+", -1)) {
      if (line.length() + 1 + word.length() > LINE_WIDTH) {
        lines().println(line);
        line.replace(0, line.length(), indent);
      }
      line.append(' ').append(word);
    }
    lines().println(line);
  }

  void add(Workload workload, Case one) {
    List<Metric> metrics = one.metrics();
    for (int i = 0; i < metrics.size(); i += METRICS_PER_LINE) {
      block(one, metrics.subList(i, Math.min(i + METRICS_PER_LINE, metrics.size())), i == 0);
    }
    for (String subject : one.subjects()) {
      for (Metric metric : metrics) {
        cases.add(json(workload, one, subject, metric));
      }
      failureCount += one.failure(subject).isPresent() ? 1 : 0;
    }
    one.goals().forEach(goal -> verdict(workload, one, goal));
  }

  // Some metrics of all subjects, below each other.
  private void block(Case one, List<Metric> metrics, boolean isFirst) {
    lines().printf(Locale.ROOT, "  %-" + (NAME_WIDTH - 2) + "s", isFirst ? one.title() : "");
    metrics.forEach(
        metric -> lines().printf(Locale.ROOT, " %10s %15s %5s", metric.unit(), "min–max", "ratio"));
    lines().printf(Locale.ROOT, "%n");
    for (String subject : one.subjects()) {
      Optional<String> failure = one.failure(subject);
      if (failure.isEmpty()) {
        lines().printf(Locale.ROOT, "    %-" + (NAME_WIDTH - 4) + "s", subject);
        metrics.forEach(metric -> figures(one, subject, metric));
        lines().printf(Locale.ROOT, "%n");
      } else if (isFirst) {
        String reason = "failed: " + firstLine(failure.get());
        lines()
            .printf(
                Locale.ROOT,
                "    %-" + (NAME_WIDTH - 4) + "s%." + FAILURE_WIDTH + "s%n",
                subject,
                reason);
      }
    }
  }

  private void figures(Case one, String subject, Metric metric) {
    Figures figures = one.of(subject, metric);
    double ratio = one.ratio(subject, metric, _ -> true);
    String spread =
        figures.samples().size() < 2 ? "" : number(figures.min()) + "–" + number(figures.max());
    lines()
        .printf(
            Locale.ROOT,
            " %10s %15s %5s",
            number(figures.median()),
            spread,
            Double.isNaN(ratio) ? "" : String.format(Locale.ROOT, "%.2f", ratio));
  }

  private void verdict(Workload workload, Case one, Goal goal) {
    Predicate<String> concerned = goal::concerns;
    String peer = one.best(goal.metric(), concerned).orElse("a peer that was measured");
    Metric metric = goal.metric();
    for (String subject : one.subjects().stream().filter(Case::isMeasured).toList()) {
      double ratio = one.ratio(subject, metric, concerned);
      goal(
          workload,
          one,
          metric.unit() + " " + metric.bound(goal.factor()) + " × " + peer,
          subject,
          metric.ratio(ratio, 1),
          ratio >= goal.factor());
    }
  }

  /// Says whether something was reached.
  ///
  /// @param goal what, in words
  /// @param figure what was measured; not a number if nothing was, then it is not met
  void goal(
      Workload workload, Case one, String goal, String subject, double figure, boolean isMet) {
    String verdict = Double.isNaN(figure) ? "not measured" : isMet ? "met" : "missed";
    lines().printf(Locale.ROOT, "    goal %s: %s %s, %s%n", goal, subject, number(figure), verdict);
    ObjectNode node =
        goals
            .addObject()
            .put("workload", workload.id())
            .put("case", one.title())
            .put("subject", subject)
            .put("goal", goal)
            .put("verdict", verdict);
    if (!Double.isNaN(figure)) {
      node.put("figure", figure);
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
    if (!Double.isNaN(one.median(subject, metric))) {
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

  /// Writes it whole or not at all.
  ///
  /// @param isComplete whether all that was asked for has been run
  void write(Path file, boolean isComplete) throws IOException {
    document.put("complete", isComplete).put("failures", failureCount);
    Path unfinished = file.resolveSibling(file.getFileName() + ".new");
    Files.writeString(unfinished, Json.pretty(document) + "\n");
    Path _ = Files.move(unfinished, file, StandardCopyOption.REPLACE_EXISTING);
  }
}
