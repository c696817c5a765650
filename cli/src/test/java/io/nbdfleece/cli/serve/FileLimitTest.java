// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.Main;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class FileLimitTest {
  @TempDir Path directory = Path.of("");

  /// In a process of its own: the limit is one of a process. Its class path has many files, so that
  /// the limit is above what they take.
  @Test
  void aServerThatMayOpenTooFewFilesSaysHowManyItNeeds() throws Exception {
    Path image = Files.write(directory.resolve("vda.img"), new byte[4096]);
    Process process =
        new ProcessBuilder(
                "sh",
                "-c",
                "ulimit -n 100 && exec \"$0\" \"$@\"",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "serve",
                "--limit",
                "threads=100",
                "--unix",
                directory.resolve("nbd.sock").toString(),
                "--qmp",
                directory.resolve("qmp.sock").toString(),
                image.toString())
            .redirectError(directory.resolve("err").toFile())
            .start();
    assertTrue(process.waitFor(50, TimeUnit.SECONDS));
    String error = Files.readString(directory.resolve("err"));
    assertEquals(1, process.exitValue(), error);
    assertTrue(error.contains("nbdfleece: ulimit -n 100 is too small: give at least 645 "), error);
    assertEquals(
        "", new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII));
  }

  @Test
  void withoutALimitThereIsNothingToSay() throws IOException {
    FileLimit.check("Max open files            unlimited            unlimited   files\n", 1 << 30);
    FileLimit.check("", 1 << 30);
    FileLimit.require(FileLimit.needed(1, 0));
  }
}
