// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The launcher, a copy of it in a tree of its own, with JDKs and a Maven that are shell scripts
/// and tell what they were called with.
@Timeout(60)
final class LauncherTest {
  private Path home = Path.of("");
  private final Map<String, String> environment = new HashMap<>();

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void layOut() throws IOException {
    home = Files.createDirectories(directory.resolve("my home"));
    Path original = Path.of(System.getProperty("nbdfleece.root", "..")).resolve("nbdfleece");
    Files.copy(original, home.resolve("nbdfleece"));
    makeExecutable(home.resolve("nbdfleece"));
    Files.writeString(home.resolve("pom.xml"), "<project/>");
    Files.createDirectories(home.resolve("cli/src/main"));
    Files.writeString(home.resolve("cli/pom.xml"), "<project/>");
    Files.writeString(home.resolve("cli/src/main/A.java"), "class A {}");
    Path tools = Files.createDirectories(directory.resolve("tools"));
    script(
        tools.resolve("mvn"),
        ("echo \"mvn $JAVA_HOME $*\" >> '%s'\n"
                + "mkdir -p cli/target && echo x > cli/target/nbdfleece.jar")
            .formatted(log()));
    environment.put("PATH", tools + ":/usr/bin:/bin");
    environment.put("HOME", Files.createDirectories(directory.resolve("user")).toString());
    environment.put(
        "NBDFLEECE_JVM_DIR", Files.createDirectories(directory.resolve("jvm")).toString());
  }

  @Test
  void theFirstUseBuildsWithTheJdkThatWasFoundAndSaysSo() throws Exception {
    Path jdk = jdk("jvm/temurin-25", "25.0.3");
    Result first = run("version");
    assertEquals(0, first.code, first.err);
    assertTrue(first.err.contains("building"), first.err);
    assertEquals(
        List.of("mvn " + jdk + " -B -ntp -q -DskipTests package -pl cli -am"),
        Files.readAllLines(log()));
    Result second = run("version");
    assertEquals("", second.err);
    assertEquals(1, Files.readAllLines(log()).size());
  }

  /// Also what goes into the start-up cache only.
  @ParameterizedTest
  @ValueSource(
      strings = {
        "pom.xml",
        "cli/pom.xml",
        "cli/src/main/A.java",
        "cli/packaging/ModernClasses.java",
        "nbdfleece"
      })
  void newerSourcesAreBuiltAgain(String source) throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    Files.createDirectories(home.resolve("cli/packaging"));
    Files.writeString(home.resolve("cli/packaging/ModernClasses.java"), "class A {}");
    assertEquals(0, run("version").code);
    assertEquals(0, run("version").code);
    assertEquals(1, Files.readAllLines(log()).size());
    Files.setLastModifiedTime(home.resolve(source), FileTime.from(Instant.now().plusSeconds(60)));
    assertEquals(0, run("version").code);
    assertEquals(2, Files.readAllLines(log()).size());
  }

  @Test
  void aServerThatRunsKeepsItsJarWhenANewOneIsBuilt() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    Path jar = Files.writeString(home.resolve("cli/target/nbdfleece.jar"), "old");
    try (InputStream running = Files.newInputStream(jar)) {
      Files.setLastModifiedTime(
          home.resolve("cli/src/main/A.java"), FileTime.from(Instant.now().plusSeconds(60)));
      assertEquals(0, run("version").code);
      assertEquals("x\n", Files.readString(jar));
      assertEquals("old", new String(running.readAllBytes(), UTF_8));
    }
  }

  @Test
  void twoFirstUsesAtOnceBuildOnce() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      processes.add(start(List.of(home.resolve("nbdfleece").toString(), "version")));
    }
    for (Process process : processes) {
      assertTrue(process.waitFor(30, TimeUnit.SECONDS));
      assertEquals(0, process.exitValue());
    }
    assertEquals(1, Files.readAllLines(log()).size());
  }

  @Test
  void aBuildThatFailsIsShown() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    script(directory.resolve("tools/mvn"), "echo no luck; exit 1");
    Result result = run("version");
    assertEquals(69, result.code);
    assertTrue(result.err.contains("no luck"), result.err);
    assertTrue(result.err.contains("build.log"), result.err);
  }

  @Test
  void theVariableComesBeforeTheOthers() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    Path own = jdk("own jdk", "26");
    environment.put("NBDFLEECE_JAVA_HOME", own.toString());
    environment.put("JAVA_HOME", jdk("java-home", "25").toString());
    assertTrue(run("version").out.startsWith(own.toString()));
    environment.remove("NBDFLEECE_JAVA_HOME");
    assertTrue(run("version").out.startsWith(directory.resolve("java-home").toString()));
  }

  @Test
  void oldJdksAreSkippedWhereverTheyAre() throws Exception {
    environment.put("JAVA_HOME", jdk("old", "17.0.15").toString());
    jdk("jvm/a-17", "17.0.15");
    jdk("jvm/b-1.8", "1.8.0_402");
    Path good = jdk("user/.sdkman/candidates/java/25-tem", "25");
    assertTrue(run("version").out.startsWith(good.toString()));
  }

  @Test
  void aJdkOnThePathIsFoundThroughLinks() throws Exception {
    Path good = jdk("opt/jdk", "27-ea");
    Files.createSymbolicLink(directory.resolve("tools/java"), good.resolve("bin/java"));
    assertTrue(run("version").out.startsWith(good.toString()));
  }

  @Test
  void withoutJdkItSaysWhatToInstall() throws Exception {
    jdk("jvm/java-17", "17.0.15");
    environment.put("PATH", directory.resolve("tools") + ":/bin:/usr/bin");
    Files.deleteIfExists(directory.resolve("tools/java"));
    script(directory.resolve("tools/java"), "exit 1");
    Result result = run("version");
    assertEquals(69, result.code);
    assertTrue(result.err.contains("apt-get install"), result.err);
    assertEquals(1, result.err.lines().count(), result.err);
  }

  @Test
  void aWrongVariableIsAnErrorAndNotPassedOver() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    environment.put("NBDFLEECE_JAVA_HOME", "/nonexistent");
    Result result = run("version");
    assertEquals(69, result.code);
    assertTrue(result.err.contains("/nonexistent"), result.err);
  }

  @Test
  void itWorksFromAnyDirectoryAndThroughLinks() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    Path link = Files.createSymbolicLink(directory.resolve("link"), home.resolve("nbdfleece"));
    Path relative = directory.resolve("user/link2");
    Files.createSymbolicLink(relative, Path.of("../link"));
    for (Path start : List.of(link, relative)) {
      Process process = start(List.of(start.toString(), "version"));
      assertTrue(process.waitFor(30, TimeUnit.SECONDS));
      assertEquals(0, process.exitValue());
    }
    assertTrue(Files.exists(home.resolve("cli/target/nbdfleece.jar")));
  }

  @Test
  void argumentsPassUnchangedAndOptionsForJavaComeFirst() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    environment.put("NBDFLEECE_JAVA_OPTS", "-Xmx1g -Da=b");
    Result result = run("pull", "nbd://x/a b", "*", "");
    List<String> arguments = result.out.lines().skip(2).toList();
    assertEquals(
        List.of("[pull]", "[nbd://x/a b]", "[*]", "[]"),
        arguments.subList(arguments.size() - 4, arguments.size()));
    assertTrue(arguments.indexOf("[-Xmx1g]") < arguments.indexOf("[-jar]"), result.out);
    assertTrue(arguments.contains("[-Da=b]"), result.out);
  }

  @Test
  void javaTakesTheProcessOver() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    Process process = start(List.of(home.resolve("nbdfleece").toString(), "version"));
    String out = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertTrue(process.waitFor(30, TimeUnit.SECONDS));
    assertEquals("pid " + process.pid(), out.lines().skip(1).findFirst().orElse(""));
  }

  @Test
  void socketsThatWerePassedReachJava() throws Exception {
    Path jdk = jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    script(jdk.resolve("bin/java"), "readlink /proc/$$/fd/3; echo $LISTEN_PID $$");
    Process process =
        start(
            List.of(
                "/bin/sh",
                "-c",
                "exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec '"
                    + home.resolve("nbdfleece")
                    + "' serve disk.img"));
    List<String> lines = process.inputReader().lines().toList();
    assertTrue(process.waitFor(30, TimeUnit.SECONDS));
    assertEquals(List.of("/dev/null", process.pid() + " " + process.pid()), lines);
  }

  @Test
  void theExitCodeIsThatOfJava() throws Exception {
    Path jdk = jdk("jvm/temurin-25", "25.0.3");
    script(jdk.resolve("bin/java"), "exit 11");
    assertEquals(11, run("version").code);
  }

  @Test
  void anInstalledJarIsNotBuiltAgain() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    Files.delete(log());
    Files.delete(home.resolve("pom.xml"));
    Files.setLastModifiedTime(
        home.resolve("cli/src/main/A.java"), FileTime.from(Instant.now().plusSeconds(60)));
    assertEquals(0, run("version").code);
    assertFalse(Files.exists(log()));
  }

  @Test
  void theCacheOfThisJarAndThisJdkIsUsed() throws Exception {
    jdk("jvm/temurin-25", "25.0.3");
    assertFalse(run("version").out.contains("-XX:AOTCache="));
    assertEquals(0, run("--make-aot-cache").code);
    Result result = run("version");
    assertTrue(result.out.contains("[-XX:AOTCache=" + home), result.out);
    assertEquals("", result.err);
  }

  @Test
  void aCacheOfAnotherJarOrAnotherJdkIsNotTried() throws Exception {
    Path jdk = jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    assertEquals(0, run("--make-aot-cache").code);
    environment.put("NBDFLEECE_JAVA_HOME", jdk("jvm/other", "25.0.4").toString());
    assertFalse(run("version").out.contains("-XX:AOTCache="));
    environment.put("NBDFLEECE_JAVA_HOME", jdk.toString());
    assertTrue(run("version").out.contains("-XX:AOTCache="));
    Files.setLastModifiedTime(
        home.resolve("cli/target/nbdfleece.jar"), FileTime.from(Instant.now().plusSeconds(3)));
    assertFalse(run("version").out.contains("-XX:AOTCache="));
  }

  @Test
  void aCacheThatCannotBeMadeIsOnlyMissed() throws Exception {
    Path jdk = jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    script(jdk.resolve("bin/java"), "echo broken; exit 1");
    Result failed = run("--make-aot-cache");
    assertEquals(1, failed.code);
    assertTrue(failed.err.contains("aot-cache.log"), failed.err);
    jdk("jvm/temurin-25", "25.0.3");
    Result result = run("version");
    assertEquals(0, result.code);
    assertEquals("", result.err);
  }

  @Test
  void theCacheIsThatOfTheJarWithItsClassesMadeModern() throws Exception {
    Path jdk = jdk("jvm/temurin-25", "25.0.3");
    assertEquals(0, run("version").code);
    Files.createDirectories(home.resolve("cli/packaging"));
    Files.writeString(home.resolve("cli/packaging/ModernClasses.java"), "class A {}");
    String java = Files.readString(jdk.resolve("bin/java")).replace("#!/bin/sh\n", "");
    script(
        jdk.resolve("bin/java"),
        "case $1 in *.java) touch -d 2040-01-01T00:00:00Z \"$2\"; exit;; esac\n" + java);
    Result made = run("--make-aot-cache");
    assertEquals(0, made.code, made.err);
    assertEquals(
        Instant.parse("2040-01-01T00:00:00Z"),
        Files.getLastModifiedTime(home.resolve("cli/target/nbdfleece.jar")).toInstant());
    assertTrue(run("version").out.contains("[-XX:AOTCache=" + home));
  }

  private Path log() {
    return directory.resolve("mvn.log");
  }

  /// A JDK whose java prints its place, its pid and its arguments.
  private Path jdk(String name, String version) throws IOException {
    Path jdk = Files.createDirectories(directory.resolve(name));
    Files.createDirectories(jdk.resolve("bin"));
    Files.writeString(
        jdk.resolve("release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\n");
    script(
        jdk.resolve("bin/java"),
        "echo '"
            + jdk
            + "'\necho \"pid $$\"\nfor a in \"$@\"; do echo \"[$a]\"\n"
            + "case $a in -XX:AOTCacheOutput=*) echo x > \"${a#*=}\";; esac\ndone");
    return jdk;
  }

  private static void script(Path path, String body) throws IOException {
    Files.writeString(path, "#!/bin/sh\n" + body + "\n");
    makeExecutable(path);
  }

  private static void makeExecutable(Path path) throws IOException {
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private Result run(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(home.resolve("nbdfleece").toString()));
    command.addAll(List.of(arguments));
    Process process = start(command);
    String out = new String(process.getInputStream().readAllBytes(), UTF_8);
    String err = new String(process.getErrorStream().readAllBytes(), UTF_8);
    assertTrue(process.waitFor(30, TimeUnit.SECONDS));
    return new Result(process.exitValue(), out, err);
  }

  private Process start(List<String> command) throws IOException {
    ProcessBuilder builder = new ProcessBuilder(command).directory(directory.toFile());
    builder.environment().clear();
    builder.environment().putAll(environment);
    return builder.start();
  }

  private record Result(int code, String out, String err) {}
}
