// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/// Somebody else's program that has run to its end. Where it is not installed the test is skipped,
/// unless NBDFLEECE_REQUIRE_PEERS says that it must be.
record PeerCommand(String command, int exitCode, String out, String err) {
  private static final Pattern MAP_LINE = Pattern.compile("^\\s*(\\d+)\\s+(\\d+)\\s+(\\d+)");

  static PeerCommand run(Path directory, String... command) throws IOException {
    require(command[0]);
    Path out = Files.createTempFile(directory, "peer", ".out");
    Path err = Files.createTempFile(directory, "peer", ".err");
    Process process =
        new ProcessBuilder(command)
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start();
    process.getOutputStream().close();
    try {
      if (!process.waitFor(60, TimeUnit.SECONDS)) {
        throw new AssertionError("still running: " + Arrays.toString(command));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    } finally {
      process.destroyForcibly();
    }
    return new PeerCommand(
        String.join(" ", command),
        process.exitValue(),
        Files.readString(out),
        Files.readString(err));
  }

  private static void require(String program) {
    boolean found =
        Stream.of(System.getenv().getOrDefault("PATH", "").split(":", -1))
            .anyMatch(directory -> Files.isExecutable(Path.of(directory).resolve(program)));
    if (!found) {
      String message = program + " not found: apt-get install libnbd-bin qemu-utils python3-libnbd";
      if ("1".equals(System.getenv("NBDFLEECE_REQUIRE_PEERS"))) {
        Assertions.fail(message + " (NBDFLEECE_REQUIRE_PEERS=1)");
      }
      Assumptions.abort(message);
    }
  }

  PeerCommand succeeds() {
    assertEquals(0, exitCode, this::toString);
    return this;
  }

  PeerCommand fails() {
    assertNotEquals(0, exitCode, this::toString);
    return this;
  }

  /// The flags of each unit of `unitBytes` that nbdinfo's map tells of.
  int[] map(long sizeBytes, int unitBytes) {
    int[] flags = new int[Math.toIntExact((sizeBytes + unitBytes - 1) / unitBytes)];
    Arrays.fill(flags, -1);
    for (String line : out.lines().toList()) {
      Matcher matcher = MAP_LINE.matcher(line);
      if (matcher.find()) {
        long start = Long.parseLong(matcher.group(1));
        long end = start + Long.parseLong(matcher.group(2));
        for (long at = start; at < end; at += unitBytes) {
          flags[(int) (at / unitBytes)] = Integer.parseInt(matcher.group(3));
        }
      }
    }
    return flags;
  }
}
