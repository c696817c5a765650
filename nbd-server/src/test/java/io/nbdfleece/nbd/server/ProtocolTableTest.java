// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.lang.reflect.Method;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;

/// Holds `PROTOCOL.md` against the tests: a row names exactly the tests of this module that carry
/// its id in a [Rule], and tests of other modules as `module/Class.method`. The last column is
/// written anew by `-Dprotocol.write=true`.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ProtocolTableTest {
  private static final Pattern ROW =
      Pattern.compile("\\| ([A-Z]+[0-9]+|CVE-[0-9]+-[0-9]+) \\|" + " ([^|]*) \\|".repeat(4));
  private static final Pattern ELSEWHERE = Pattern.compile("`((?:[a-z-]+)/(?:\\w+)\\.(?:\\w+))`");
  private static final Set<String> LEVELS = Set.of("MUST", "SHOULD", "MAY", "own");

  private record Row(String id, String level, String rule, String answer, String tests) {
    boolean isSupported() {
      return answer.startsWith("yes");
    }

    /// Those of other modules.
    List<String> elsewhere() {
      return ELSEWHERE.matcher(tests).results().map(found -> found.group(1)).toList();
    }
  }

  private final Path root = Path.of(System.getProperty("nbdfleece.root", ".."));
  private final Path document = root.resolve("PROTOCOL.md");
  private final Map<String, Row> rows = new TreeMap<>();
  private final Map<String, Set<String>> annotated = new TreeMap<>();
  private final List<String> strangers = new ArrayList<>();

  @BeforeAll
  void read() throws IOException, URISyntaxException, ClassNotFoundException {
    readAnnotations();
    if (Boolean.getBoolean("protocol.write")) {
      write();
    }
    for (String line : Files.readAllLines(document)) {
      Matcher row = ROW.matcher(line);
      if (row.matches()) {
        Row added =
            new Row(row.group(1), row.group(2), row.group(3), row.group(4), row.group(5).strip());
        if (rows.put(added.id(), added) != null) {
          fail("twice in the table: " + added.id());
        }
      } else if (line.startsWith("| ")
          && line.endsWith(" |")
          && line.chars().filter(c -> c == '|').count() == 6) {
        assertTrue(line.startsWith("| id "), () -> "not a row: " + line);
      }
    }
  }

  private void readAnnotations() throws IOException, URISyntaxException, ClassNotFoundException {
    Path classes =
        Path.of(
            ProtocolTableTest.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    List<Path> files;
    try (Stream<Path> walk = Files.walk(classes)) {
      files = walk.filter(file -> file.toString().endsWith("Test.class")).toList();
    }
    for (Path file : files) {
      String name = classes.relativize(file).toString().replace('/', '.').replace(".class", "");
      Class<?> type = Class.forName(name, false, ProtocolTableTest.class.getClassLoader());
      for (Method method : type.getDeclaredMethods()) {
        readAnnotation(type, method);
      }
    }
  }

  private void readAnnotation(Class<?> type, Method method) {
    Rule rule = method.getAnnotation(Rule.class);
    if (rule == null) {
      return;
    }
    String test = type.getSimpleName() + "." + method.getName();
    if (!isTest(method)) {
      strangers.add(test);
    }
    for (String id : rule.value()) {
      annotated.computeIfAbsent(id, _ -> new TreeSet<>()).add(test);
    }
  }

  private static boolean isTest(Method method) {
    return method.isAnnotationPresent(Test.class)
        || method.isAnnotationPresent(ParameterizedTest.class)
        || method.isAnnotationPresent(RepeatedTest.class);
  }

  /// The last column of a row: what is annotated, then what other modules show.
  private String tests(String id, List<String> elsewhere) {
    List<String> all = new ArrayList<>(annotated.getOrDefault(id, Set.of()));
    all.addAll(elsewhere);
    return all.isEmpty() ? "–" : all.stream().collect(Collectors.joining("`, `", "`", "`"));
  }

  private void write() throws IOException {
    List<String> lines = new ArrayList<>();
    for (String line : Files.readAllLines(document)) {
      Matcher row = ROW.matcher(line);
      lines.add(
          row.matches()
              ? line.substring(0, row.start(5))
                  + tests(
                      row.group(1),
                      ELSEWHERE.matcher(row.group(5)).results().map(f -> f.group(1)).toList())
                  + " |"
              : line);
    }
    Files.write(document, lines);
  }

  private void assertNoRow(Stream<String> faults) {
    assertEquals("", faults.collect(Collectors.joining("\n")));
  }

  @Test
  void everyRowNamesExactlyTheTestsThatCarryItsId() {
    assertNoRow(
        rows.values().stream()
            .filter(row -> !row.tests().equals(tests(row.id(), row.elsewhere())))
            .map(
                row ->
                    row.id()
                        + " names "
                        + row.tests()
                        + " (expected: "
                        + tests(row.id(), row.elsewhere())
                        + "; -Dprotocol.write=true writes it)"));
  }

  @Test
  void everyAnnotatedRuleIsInTheTable() {
    Set<String> unknown = new TreeSet<>(annotated.keySet());
    unknown.removeAll(rows.keySet());
    assertEquals(Set.of(), unknown, annotated::toString);
    assertEquals(List.of(), strangers, "annotated, but not a test");
  }

  @Test
  void everyRowHasALevelARuleAndAnAnswer() {
    assertNoRow(
        rows.values().stream()
            .filter(
                row ->
                    !LEVELS.contains(row.level())
                        || row.rule().isBlank()
                        || !row.answer().matches("yes|yes: .+|no: .+"))
            .map(Row::toString));
  }

  @Test
  void everySupportedRuleHasATestAndEveryOtherAReason() {
    assertNoRow(
        rows.values().stream()
            .filter(row -> row.isSupported() ? row.tests().equals("–") : row.answer().length() < 20)
            .map(Row::toString));
  }

  @Test
  void noMandatoryRuleIsLeftOut() {
    assertNoRow(
        rows.values().stream()
            .filter(row -> row.level().equals("MUST") && !row.isSupported())
            .map(Row::toString));
  }

  @Test
  void testsOfOtherModulesExist() throws IOException {
    List<String> missing = new ArrayList<>();
    for (Row row : rows.values()) {
      for (String test : row.elsewhere()) {
        if (!existsElsewhere(test)) {
          missing.add(row.id() + ": " + test);
        }
      }
    }
    assertEquals(List.of(), missing);
  }

  private boolean existsElsewhere(String test) throws IOException {
    String module = test.substring(0, test.indexOf('/'));
    String type = test.substring(test.indexOf('/') + 1, test.indexOf('.'));
    String call = " " + test.substring(test.indexOf('.') + 1) + "(";
    try (Stream<Path> files = Files.walk(root.resolve(module).resolve("src/test/java"))) {
      for (Path file : files.filter(f -> f.endsWith(type + ".java")).toList()) {
        if (Files.readString(file).contains(call)) {
          return true;
        }
      }
    }
    return false;
  }

  @Test
  void countsArePrinted() {
    for (String level : List.of("MUST", "SHOULD", "MAY", "own")) {
      List<Row> some = rows.values().stream().filter(row -> row.level().equals(level)).toList();
      System.out.printf(
          "PROTOCOL.md: %s: %d rules, %d kept, %d with a test%n",
          level,
          some.size(),
          some.stream().filter(Row::isSupported).count(),
          some.stream().filter(row -> !row.tests().equals("–")).count());
    }
    assertTrue(rows.size() > 100, () -> "rows: " + Arrays.toString(rows.keySet().toArray()));
  }
}
