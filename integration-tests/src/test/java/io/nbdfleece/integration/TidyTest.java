// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// The style that a program can check, over all sources of the repository. HACKING.md says why.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class TidyTest {
  private static final int FILE_LINES_MAX = 500;
  private static final int METHOD_LINES_MAX = 70;
  private static final int LINE_CHARACTERS_MAX = 100;
  private static final String SPDX = "// SPDX-License-Identifier: Apache-2.0";
  private static final Pattern BANNED_NAME =
      Pattern.compile("Abstract.*|.*(Impl|Manager|Helper|Helpers|Util|Utils|Utilities)");
  // The formatter puts members at two blanks, those of nested classes at four, six, eight.
  private static final Pattern METHOD_START =
      Pattern.compile(
          "^( {2,8})(?!(return|throw|new|else|case|assert)\\b)"
              + "[\\w@<][\\w<>\\[\\],.?@ ]* \\w+\\(.*");
  // Put together here so that this file does not find itself.
  private static final String SLEEP = "Thread." + "sleep(";
  private static final String AUTHOR = "@" + "author";
  private static final Pattern UNFINISHED =
      Pattern.compile("\\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b");

  private final List<Source> sources = new ArrayList<>();

  @BeforeAll
  void readSources() throws IOException {
    Path root = Program.root();
    try (Stream<Path> modules = Files.list(root)) {
      for (Path module : modules.filter(m -> Files.exists(m.resolve("pom.xml"))).toList()) {
        readSources(root, module.resolve("src"));
      }
    }
    assertTrue(sources.size() > 50, "found the sources: " + sources.size());
  }

  private void readSources(Path root, Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return;
    }
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList()) {
        sources.add(new Source(root.relativize(file), Files.readAllLines(file)));
      }
    }
  }

  @Test
  void everyFileBeginsWithItsLicence() {
    assertNone(source -> source.lines().getFirst().equals(SPDX) ? "" : "no SPDX line");
  }

  @Test
  void noFileIsTooLong() {
    assertNone(
        source -> source.lines().size() <= FILE_LINES_MAX ? "" : source.lines().size() + " lines");
  }

  @Test
  void noLineIsTooLong() {
    assertNoLine(line -> line.length() > LINE_CHARACTERS_MAX && !line.startsWith("import "));
  }

  @Test
  void noMethodIsTooLong() {
    assertNone(TidyTest::longMethod);
  }

  @Test
  void namesSayTheMechanism() {
    assertNone(
        source -> BANNED_NAME.matcher(source.name()).matches() ? "a name that says nothing" : "");
  }

  @Test
  void everyPackageIsExplained() {
    assertNone(
        source -> {
          Path sibling = source.path().resolveSibling("package-info.java");
          boolean explained =
              source.name().equals("module-info")
                  || sources.stream().anyMatch(other -> samePackage(other, source, sibling));
          return explained ? "" : "no package-info.java";
        });
  }

  @Test
  void nothingIsLeftUnfinished() {
    assertNoLine(line -> UNFINISHED.matcher(line).find());
  }

  @Test
  void noTestSleeps() {
    assertNone(
        source ->
            source.path().toString().contains("src/test")
                    && source.lines().stream().anyMatch(line -> line.contains(SLEEP))
                ? "sleeps (use a latch or Awaitility)"
                : "");
  }

  @Test
  void noTabsAndNoBlanksAtTheEnd() {
    assertNoLine(line -> line.contains("\t") || line.endsWith(" "));
  }

  @Test
  void commentsAreNoHistory() {
    assertNoLine(line -> line.contains(AUTHOR));
  }

  private boolean samePackage(Source other, Source source, Path sibling) {
    // A test or benchmark lives in the package of what it is about, which is explained beside that.
    return other.path().equals(sibling)
        || other
            .path()
            .toString()
            .equals(
                sibling
                    .toString()
                    .replaceFirst("/src/(test|jmh|jcstress)/java/", "/src/main/java/"))
        || (other.path().equals(source.path()) && source.name().equals("package-info"));
  }

  private static String longMethod(Source source) {
    List<String> lines = source.lines();
    for (int i = 0; i < lines.size(); i++) {
      Matcher start = METHOD_START.matcher(lines.get(i));
      if (start.matches() && isHeader(lines, i)) {
        int end = lines.subList(i, lines.size()).indexOf(start.group(1) + "}");
        if (end >= METHOD_LINES_MAX) {
          return "method of " + (end + 1) + " lines at line " + (i + 1);
        }
      }
    }
    return "";
  }

  // A header goes on until its brace; a call and a method without a body end with a semicolon.
  private static boolean isHeader(List<String> lines, int first) {
    for (String line : lines.subList(first, lines.size())) {
      if (line.contains("=") || line.contains("->") || line.endsWith(";")) {
        return false;
      }
      if (line.endsWith("{")) {
        return !line.matches(".*\\b(class|record|interface|enum)\\b.*");
      }
    }
    return false;
  }

  private void assertNoLine(Predicate<String> wrong) {
    assertNone(
        source -> {
          for (int i = 0; i < source.lines().size(); i++) {
            if (wrong.test(source.lines().get(i))) {
              return "line " + (i + 1) + ": " + source.lines().get(i);
            }
          }
          return "";
        });
  }

  private void assertNone(Function<Source, String> complaint) {
    List<String> complaints =
        sources.stream()
            .map(source -> new String[] {source.path().toString(), complaint.apply(source)})
            .filter(pair -> !pair[1].isEmpty())
            .map(pair -> pair[0] + ": " + pair[1])
            .toList();
    assertEquals("", String.join("\n", complaints));
  }

  private record Source(Path path, List<String> lines) {
    Source {
      lines = List.copyOf(lines);
    }

    String name() {
      return String.valueOf(path.getFileName()).replace(".java", "");
    }
  }
}
