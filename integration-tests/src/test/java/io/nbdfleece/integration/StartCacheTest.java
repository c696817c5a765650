// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The cache that lets java start faster, as the launcher uses it: it fits, and when it does not
/// nobody notices.
@Timeout(120)
final class StartCacheTest {
  @TempDir private Path directory;

  @Test
  void theCacheThatThePackagingMadeFits() throws IOException {
    // With this option java ends with an error when it cannot use the cache.
    Map<String, String> strict = Map.of("NBDFLEECE_JAVA_OPTS", "-XX:AOTMode=on");
    Path cache = cache();
    Command.Result _ =
        Command.run(List.of(launcher(Program.root()).toString(), "version"), strict).succeeds();
    assertEquals(cache, cache());
  }

  @Test
  void aCacheThatIsDamagedCostsNothingButTime() throws IOException {
    Path installed = install();
    Files.writeString(installed.resolve("cli/target").resolve(cache().getFileName()), "garbage");
    Command.Result result = Command.run(launcher(installed).toString(), "version").succeeds();
    assertEquals("", result.err());
    assertEquals(1, result.out().lines().count(), result.out());
  }

  @Test
  void withoutCacheItRunsAsWell() throws IOException {
    Command.Result result = Command.run(launcher(install()).toString(), "version").succeeds();
    assertEquals("", result.err());
    assertEquals(1, result.out().lines().count(), result.out());
  }

  /// A jar beside no sources, with the time of the original.
  private Path install() throws IOException {
    Path target = Files.createDirectories(directory.resolve("cli/target"));
    Path _ =
        Files.copy(
            Program.jar(), target.resolve("nbdfleece.jar"), StandardCopyOption.COPY_ATTRIBUTES);
    Path _ =
        Files.copy(
            launcher(Program.root()), launcher(directory), StandardCopyOption.COPY_ATTRIBUTES);
    return directory;
  }

  private static Path launcher(Path home) {
    return home.resolve("nbdfleece");
  }

  private static Path cache() throws IOException {
    try (Stream<Path> files = Files.list(Program.jar().getParent())) {
      List<Path> caches = files.filter(file -> file.toString().endsWith(".aot")).toList();
      Assumptions.assumeTrue(
          caches.size() == 1, "not one start-up cache: packaged with -Dmaven.antrun.skip?");
      return caches.getFirst();
    }
  }
}
