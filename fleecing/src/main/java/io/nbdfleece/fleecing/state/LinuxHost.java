// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;

/// This machine.
final class LinuxHost implements Host {
  private final String bootId;
  private final long bootedEpochNanos;

  LinuxHost() {
    bootId = readBootId();
    bootedEpochNanos = readBootedEpochNanos();
  }

  /// In ns since 1970.
  static long epochNanos(Instant instant) {
    return Math.addExact(
        Math.multiplyExact(instant.getEpochSecond(), 1_000_000_000L), instant.getNano());
  }

  @Override
  public long epochNanos() {
    return epochNanos(Instant.now());
  }

  @Override
  public long nanoTime() {
    return System.nanoTime();
  }

  @Override
  public String bootId() {
    return bootId;
  }

  @Override
  public long bootedEpochNanos() {
    return bootedEpochNanos;
  }

  private static String readBootId() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
    } catch (IOException _) {
      return ""; // then every start counts as one after a power failure
    }
  }

  private static long readBootedEpochNanos() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/stat"))) {
        if (line.startsWith("btime ")) {
          return Math.multiplyExact(Long.parseLong(line.substring(6).strip()), 1_000_000_000L);
        }
      }
      return 0;
    } catch (IOException | NumberFormatException | ArithmeticException _) {
      return 0; // then a change between the start of the machine and ours is not seen
    }
  }
}
