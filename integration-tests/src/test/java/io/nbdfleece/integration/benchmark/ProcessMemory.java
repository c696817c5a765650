// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// What a process takes of the machine, as the kernel counts it.
final class ProcessMemory {
  private static final long TICKS_PER_SECOND = 100;

  private ProcessMemory() {}

  /// KiB that end with the process: of its heap and stacks, and of files that only it has mapped
  /// for itself. A JVM collects its garbage before.
  static double used(Subject subject) throws IOException, InterruptedException {
    if (!subject.isPeer()) {
      collect(subject.pid());
      return heapUsed(subject.pid()) + field(subject.pid(), "status", "RssFile");
    }
    return field(subject.pid(), "status", "VmRSS");
  }

  /// KiB, shared pages in proportion; without what is mapped of files, which is page cache.
  static double anonymous(long pid) throws IOException {
    return field(pid, "smaps_rollup", "Pss_Anon") + field(pid, "smaps_rollup", "Pss_Shmem");
  }

  /// KiB, shared pages in proportion.
  static double proportional(long pid) throws IOException {
    return field(pid, "smaps_rollup", "Pss");
  }

  /// Seconds of processor time so far, user and system.
  static double cpuSeconds(long pid) throws IOException {
    String stat = Files.readString(Path.of("/proc", "" + pid, "stat"));
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
    return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / (double) TICKS_PER_SECOND;
  }

  static void collect(long pid) throws IOException, InterruptedException {
    String _ = Tool.run(List.of(jcmd(), Long.toString(pid), "GC.run"));
  }

  static double heapUsed(long pid) throws IOException, InterruptedException {
    String heap = Tool.run(List.of(jcmd(), Long.toString(pid), "GC.heap_info"));
    return heap.lines()
        .filter(line -> line.matches(".*heap.* used \\d+K.*"))
        .mapToLong(line -> Long.parseLong(line.replaceAll(".*?heap.*? used (\\d+)K.*", "$1")))
        .sum();
  }

  private static String jcmd() {
    return Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
  }

  private static double field(long pid, String file, String name) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc", "" + pid, file))) {
      if (line.startsWith(name + ":")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IOException("/proc/" + pid + "/" + file + ": no " + name);
  }
}
