// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// Other people's programs.
final class Tool {
  private static final int START_SECONDS_MAX = 30;
  private static final int POLL_MILLIS = 20;

  private Tool() {}

  static boolean isInstalled(String program) {
    return Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
  }

  static void require(String program, String debianPackage) throws IOException {
    if (!isInstalled(program)) {
      throw new IOException(program + " not found: apt-get install " + debianPackage);
    }
  }

  /// Runs it and returns what it printed.
  static String run(List<String> command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException(
          String.join(" ", command) + ": exit " + process.exitValue() + "\n" + out);
    }
    return out;
  }

  /// Starts a server and waits until its socket is there.
  static Process serve(List<String> command, Path socket, Path log)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    long deadlineNanos = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS_MAX);
    while (!Files.exists(socket)) {
      if (process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)
          || System.nanoTime() > deadlineNanos) {
        process.destroy();
        throw new IOException(String.join(" ", command) + ": " + Files.readString(log));
      }
    }
    return process;
  }

  static void stop(Process process) throws InterruptedException {
    process.destroy();
    if (!process.waitFor(START_SECONDS_MAX, TimeUnit.SECONDS)) {
      process.destroyForcibly();
    }
  }
}
