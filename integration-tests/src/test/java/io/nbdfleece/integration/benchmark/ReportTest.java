// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

final class ReportTest {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final Report report = new Report(new PrintStream(out, true, UTF_8), false);
  private final Workload workload = new P3GuestWrites();

  private String printed() {
    return out.toString(UTF_8);
  }

  private JsonNode written(Path directory) throws IOException {
    Path file = directory.resolve("bench.json");
    report.write(file, true);
    return JsonMapper.shared().readTree(Files.readString(file));
  }

  @Test
  void tableShowsMedianSpreadAndRatio() {
    Case one = new Case("writes", List.of(Metric.IOPS), List.of());
    for (double iops : new double[] {30_000, 10_000, 20_000}) {
      one.note("nbdfleece", Map.of(Metric.IOPS, iops));
      one.note("qemu-nbd 10.0", Map.of(Metric.IOPS, iops / 2));
    }
    report.add(workload, one);
    assertEquals(
        List.of(
            "writes IOPS min–max ratio",
            "nbdfleece 20,000 10,000–30,000 2.00",
            "qemu-nbd 10.0 10,000 5,000–15,000 1.00"),
        printed().lines().map(line -> line.strip().replaceAll(" +", " ")).toList());
  }

  @Test
  void noLineIsWiderThanATerminal() {
    List<Metric> metrics = List.of(Metric.values());
    Case one = new Case("as many as it can, depth 32", metrics, List.of());
    for (Metric metric : metrics) {
      one.note("qemu-storage-daemon 10.0.13", Map.of(metric, 123_456.0));
      one.note("qemu-storage-daemon 10.0.13", Map.of(metric, 654_321.0));
    }
    one.fail("nbdfleece, disk tier", "fio: exit 1: ".repeat(40));
    report.add(workload, one);
    assertEquals(List.of(), printed().lines().filter(line -> line.length() > 100).toList());
  }

  @Test
  void aLongNoteGoesOnInTheNextLine() {
    report.note("missing: " + "newer peers ".repeat(20));
    assertTrue(printed().lines().count() > 1, printed());
    assertEquals(List.of(), printed().lines().filter(line -> line.length() > 100).toList());
  }

  @Test
  void aFailureIsNamedAndHasNoFigure(@TempDir Path directory) throws IOException {
    Goal goal = new Goal(Metric.IOPS, "qemu", 1);
    Case one = new Case("writes", List.of(Metric.IOPS), List.of(goal));
    one.note("qemu-nbd 10.0", Map.of(Metric.IOPS, 100.0));
    one.note("nbdfleece", Map.of(Metric.IOPS, 900.0));
    one.fail("nbdfleece", "fio: exit 1: refused\nthe whole command");
    report.add(workload, one);
    assertTrue(printed().contains("failed: fio: exit 1: refused\n"), printed());
    assertTrue(printed().contains("qemu-nbd 10.0: nbdfleece -, not measured"), printed());
    assertFalse(printed().contains("900"), printed());
    assertEquals(1, report.failureCount());
    JsonNode node = written(directory);
    assertTrue(node.at("/cases/1/failure").asString().contains("the whole command"));
    assertTrue(node.at("/cases/1/median").isMissingNode());
    assertEquals("not measured", node.at("/goals/0/verdict").asString());
    assertEquals(1, node.at("/failures").asInt());
  }

  @Test
  void withoutAPeerAGoalIsNotMeasured() {
    Case one = new Case("pull", List.of(Metric.IOPS), List.of(Goal.ofAll(Metric.IOPS, 1.8)));
    one.note("nbdfleece", Map.of(Metric.IOPS, 900.0));
    report.add(workload, one);
    assertTrue(printed().contains("nbdfleece -, not measured"), printed());
  }

  @Test
  void goalsAreMetFromTheirFactorOn() {
    Case one = new Case("pull", List.of(Metric.IOPS), List.of(Goal.ofAll(Metric.IOPS, 1.8)));
    one.note("nbdfleece", Map.of(Metric.IOPS, 180.0));
    one.note("nbdfleece, disk tier", Map.of(Metric.IOPS, 179.0));
    one.note("qemu-nbd 10.0", Map.of(Metric.IOPS, 100.0));
    report.add(workload, one);
    assertTrue(printed().contains("1.8 × qemu-nbd 10.0: nbdfleece 1.80, met"), printed());
    assertTrue(printed().contains("nbdfleece, disk tier 1.79, missed"), printed());
  }

  @Test
  void aGoalOfTimesIsToldAsTimes() {
    Goal goal = new Goal(Metric.P99_MICROS, "qsd", 2);
    Case one = new Case("pull", List.of(Metric.P99_MICROS), List.of(goal));
    one.note("nbdfleece", Map.of(Metric.P99_MICROS, 40.0));
    one.note("qsd fleecing raw 10.0", Map.of(Metric.P99_MICROS, 100.0));
    report.add(workload, one);
    assertTrue(
        printed().contains("goal p99 µs ≤ 0.5 × qsd fleecing raw 10.0: nbdfleece 0.400, met"));
  }

  @Test
  void everyRoundIsInTheFile(@TempDir Path directory) throws IOException {
    Case one = new Case("pull", List.of(Metric.MIB_PER_SECOND), List.of());
    one.note("nbdfleece", Map.of(Metric.MIB_PER_SECOND, 5.0));
    one.note("nbdfleece", Map.of(Metric.MIB_PER_SECOND, 7.0));
    report.fact("command", "nbdfleece bench p1");
    report.add(workload, one);
    JsonNode node = written(directory);
    assertEquals("nbdfleece bench p1", node.at("/command").asString());
    assertTrue(node.at("/complete").asBoolean());
    assertEquals("p3", node.at("/cases/0/workload").asString());
    assertEquals("[5.0,7.0]", node.at("/cases/0/samples").toString());
    assertEquals(6, node.at("/cases/0/median").asDouble());
  }
}
