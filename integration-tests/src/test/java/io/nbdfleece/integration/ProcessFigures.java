// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.stream.Stream;

/// What a process holds, as /proc tells.
///
/// @param residentBytes memory in RAM, shared file pages included
/// @param anonymousBytes of these, not backed by a file: heap, direct memory, stacks
record ProcessFigures(int threads, int descriptors, long residentBytes, long anonymousBytes) {

  static ProcessFigures of(long pid) throws IOException {
    Path process = Path.of("/proc", Long.toString(pid));
    return new ProcessFigures(
        count(process.resolve("task")),
        count(process.resolve("fd")),
        status(process, "VmRSS:"),
        status(process, "RssAnon:"));
  }

  private static int count(Path directory) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return (int) entries.count();
    }
  }

  private static long status(Path process, String key) throws IOException {
    for (String line : Files.readAllLines(process.resolve("status"))) {
      if (line.startsWith(key)) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
      }
    }
    throw new NoSuchFileException(process + "/status: no " + key);
  }
}
