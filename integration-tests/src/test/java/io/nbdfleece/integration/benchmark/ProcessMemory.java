// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What a process takes of the machine, as the kernel counts it.
final class ProcessMemory {
  // `garbage-first heap total …, used 3000K [0x…, 0x…)`, one line a generation for other
  // collectors.
  private static final Pattern HEAP =
      Pattern.compile("used (\\d+)K \\[0x(\\p{XDigit}+), 0x.*?(\\p{XDigit}+)\\)");
  private static final Pattern MAPPING = Pattern.compile("(\\p{XDigit}+)-\\p{XDigit}+ .*");

  private ProcessMemory() {}

  /// KiB that the process has for itself, anonymous pages: without what it has mapped of files,
  /// which is page cache. Of a JVM's heap what lives in it after a collection.
  static double used(Subject subject) throws IOException, InterruptedException {
    long pid = subject.pid();
    if (subject.isPeer()) {
      return anonymousOutside(pid, 0, 0);
    }
    String _ = Tool.run(List.of(jcmd(), Long.toString(pid), "GC.run"));
    Matcher heap = HEAP.matcher(Tool.run(List.of(jcmd(), Long.toString(pid), "GC.heap_info")));
    long usedKib = 0;
    long start = Long.MAX_VALUE;
    long end = 0;
    while (heap.find()) {
      usedKib += Long.parseLong(heap.group(1));
      start = Math.min(start, Long.parseLong(heap.group(2), 16));
      end = Math.max(end, Long.parseLong(heap.group(3), 16));
    }
    if (end == 0) {
      throw new IOException("jcmd GC.heap_info tells no heap");
    }
    return usedKib + anonymousOutside(pid, start, end);
  }

  private static double anonymousOutside(long pid, long start, long end) throws IOException {
    double kib = 0;
    boolean counts = false;
    for (String line : Files.readAllLines(Path.of("/proc", "" + pid, "smaps"))) {
      Matcher mapping = MAPPING.matcher(line);
      if (mapping.matches()) {
        long address = Long.parseUnsignedLong(mapping.group(1), 16);
        counts = address < start || address >= end;
      } else if (counts && line.startsWith("Anonymous:")) {
        kib += Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    return kib;
  }

  private static String jcmd() {
    return Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
  }
}
