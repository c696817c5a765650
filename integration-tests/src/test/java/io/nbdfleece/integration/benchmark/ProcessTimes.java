// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// What a process takes of the processors, user and system, as the kernel counts it.
final class ProcessTimes {
  // The kernel's unit in /proc, on every architecture that Java runs on.
  private static final double TICKS_PER_SECOND = 100;

  private ProcessTimes() {}

  /// Seconds so far.
  static double cpuSeconds(long pid) throws IOException {
    return cpuSeconds(process(pid));
  }

  /// Seconds so far of the compilers of a JVM.
  static double compilerSeconds(long pid) throws IOException {
    double seconds = 0;
    for (Path thread : threads(pid)) {
      if (name(thread).matches("C[12] CompilerThre.*\\R?")) {
        seconds += cpuSeconds(thread);
      }
    }
    return seconds;
  }

  private static List<Path> threads(long pid) throws IOException {
    try (Stream<Path> threads = Files.list(process(pid).resolve("task"))) {
      return threads.toList();
    }
  }

  private static String name(Path thread) throws IOException {
    try {
      return Files.readString(thread.resolve("comm"));
    } catch (IOException e) {
      if (Files.exists(thread)) {
        throw e;
      }
      return ""; // It has ended meanwhile: not one that lives as long as the process.
    }
  }

  private static Path process(long pid) {
    return Path.of("/proc", Long.toString(pid));
  }

  private static double cpuSeconds(Path processOrThread) throws IOException {
    String stat = Files.readString(processOrThread.resolve("stat"));
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / TICKS_PER_SECOND;
  }
}
