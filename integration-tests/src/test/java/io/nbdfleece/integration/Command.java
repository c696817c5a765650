// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A program that is run to its end, within a limit, and what it printed.
final class Command {
  /// Far longer than anything here takes: it only keeps a hang from lasting for ever.
  static final Duration LIMIT = Duration.ofSeconds(90);

  private static final JsonMapper JSON = JsonMapper.shared();

  private Command() {}

  static Result run(String... command) throws IOException {
    return run(List.of(command));
  }

  static Result run(List<String> command) throws IOException {
    return run(command, Map.of());
  }

  /// Runs it with `environment` added. Fails when it takes longer than [#LIMIT].
  static Result run(List<String> command, Map<String, String> environment) throws IOException {
    Path out = Files.createTempFile("command", ".out");
    Path err = Files.createTempFile("command", ".err");
    try {
      ProcessBuilder builder =
          new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
      builder.environment().putAll(environment);
      Process process = builder.start();
      process.getOutputStream().close();
      int exitCode = await(process, command);
      return new Result(command, exitCode, Files.readString(out), Files.readString(err));
    } finally {
      Files.delete(out);
      Files.delete(err);
    }
  }

  /// Waits for the end, kills it when it takes too long.
  static int await(Process process, List<String> command) {
    try {
      if (!process.waitFor(LIMIT.toMillis(), TimeUnit.MILLISECONDS)) {
        process.destroyForcibly();
        throw new AssertionError("still running after " + LIMIT + ": " + command);
      }
      return process.exitValue();
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted: " + command, e);
    }
  }

  static JsonNode parse(String json) {
    return JSON.readTree(json.getBytes(StandardCharsets.UTF_8));
  }

  static List<String> join(List<String> first, String... rest) {
    List<String> all = new ArrayList<>(first);
    all.addAll(List.of(rest));
    return all;
  }

  /// How it ended.
  record Result(List<String> command, int exitCode, String out, String err) {

    /// This result, if it ended so.
    Result exits(int expected) {
      assertEquals(expected, exitCode, this::toString);
      return this;
    }

    /// This result, if it succeeded.
    Result succeeds() {
      return exits(0);
    }

    /// This result, if the error text names all of these, in any case of letters.
    Result says(String... parts) {
      for (String part : parts) {
        assertTrue(
            err.toLowerCase(Locale.ROOT).contains(part.toLowerCase(Locale.ROOT)),
            () -> "no \"" + part + "\" in what it said: " + this);
      }
      return this;
    }

    JsonNode json() {
      return parse(out);
    }

    @Override
    public String toString() {
      return String.join(" ", command) + "\nexit " + exitCode + "\n" + out + "\n" + err;
    }
  }
}
