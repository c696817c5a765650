// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;

/// How much memory this process can still be given: what the machine has, and what the control
/// groups allow that the process is in. A container, or a service with `MemoryMax=`, may be allowed
/// far less than the machine has, and is ended when it takes more.
///
/// Any thread; reads small files.
final class AvailableMemory {
  private static final String AVAILABLE = "MemAvailable:";
  private static final String TOTAL = "MemTotal:";

  /// Page cache and the like: the system takes it back before it ends anybody.
  private static final Set<String> RECLAIMABLE =
      Set.of("inactive_file", "active_file", "slab_reclaimable");

  private static final Set<String> RECLAIMABLE_V1 =
      Set.of("total_inactive_file", "total_active_file");

  private final Path proc;
  private final Path groups;

  /// @param proc usually `/proc`
  /// @param groups usually `/sys/fs/cgroup`
  AvailableMemory(Path proc, Path groups) {
    this.proc = proc;
    this.groups = groups;
  }

  /// Of this process.
  static AvailableMemory ofThisProcess() {
    return new AvailableMemory(Path.of("/proc"), Path.of("/sys/fs/cgroup"));
  }

  /// Bytes, without anybody being swapped out or ended for it; empty when nobody knows.
  OptionalLong bytes() {
    OptionalLong least = ofMachine(AVAILABLE);
    for (String line : lines(proc.resolve("self/cgroup"))) {
      String[] parts = line.split(":", 3); // hierarchy:controllers:path
      if (parts.length == 3 && parts[1].isEmpty()) {
        least = smaller(least, upwards(groups, parts[2], Version.V2));
      } else if (parts.length == 3 && Arrays.asList(parts[1].split(",")).contains("memory")) {
        least = smaller(least, upwards(groups.resolve("memory"), parts[2], Version.V1));
      }
    }
    return least;
  }

  /// All that the machine has, whoever uses it; empty when nobody knows.
  OptionalLong machineBytes() {
    return ofMachine(TOTAL);
  }

  private enum Version {
    V1,
    V2
  }

  private OptionalLong ofMachine(String name) {
    for (String line : lines(proc.resolve("meminfo"))) {
      if (line.startsWith(name)) {
        OptionalLong kibibytes = number(line.substring(name.length()).replace("kB", ""));
        return kibibytes.isPresent() ? OptionalLong.of(kibibytes.getAsLong() << 10) : kibibytes;
      }
    }
    return OptionalLong.empty();
  }

  /// Of a group and of all that it is in: each has a limit of its own. In a container the path may
  /// be one of the host's that is not there; the root is then the container's own group.
  private static OptionalLong upwards(Path root, String path, Version version) {
    OptionalLong least = OptionalLong.empty();
    Path named = root.resolve(path.replaceFirst("^/+", "")).normalize();
    Path group = named.startsWith(root) ? named : root; // it leads out of the container
    while (group != null && group.startsWith(root)) {
      least = smaller(least, ofGroup(group, version));
      group = group.getParent();
    }
    return least;
  }

  private static OptionalLong ofGroup(Path group, Version version) {
    return switch (version) {
      case V1 ->
          left(
              first(group.resolve("memory.limit_in_bytes")),
              first(group.resolve("memory.usage_in_bytes")),
              sum(group.resolve("memory.stat"), RECLAIMABLE_V1));
      // Above memory.high nobody is ended, but held up until there is less: guests with it.
      case V2 ->
          left(
              smaller(first(group.resolve("memory.max")), first(group.resolve("memory.high"))),
              first(group.resolve("memory.current")),
              sum(group.resolve("memory.stat"), RECLAIMABLE));
    };
  }

  private static OptionalLong left(OptionalLong limit, OptionalLong used, long reclaimable) {
    return limit.isEmpty() || used.isEmpty()
        ? OptionalLong.empty()
        : OptionalLong.of(
            Math.clamp(limit.getAsLong() - used.getAsLong() + reclaimable, 0, limit.getAsLong()));
  }

  /// The number in a file of one line; empty for `max`, and when there is no such file.
  private static OptionalLong first(Path file) {
    List<String> lines = lines(file);
    return lines.isEmpty() ? OptionalLong.empty() : number(lines.getFirst());
  }

  private static long sum(Path file, Set<String> names) {
    long sum = 0;
    for (String line : lines(file)) {
      int blank = line.indexOf(' ');
      if (blank > 0 && names.contains(line.substring(0, blank))) {
        sum += number(line.substring(blank)).orElse(0);
      }
    }
    return sum;
  }

  private static OptionalLong number(String text) {
    try {
      return OptionalLong.of(Long.parseLong(text.strip()));
    } catch (NumberFormatException e) {
      return OptionalLong.empty();
    }
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of(); // another kernel, or it may not be read: nothing is known from there
    }
  }

  private static OptionalLong smaller(OptionalLong one, OptionalLong other) {
    if (one.isEmpty() || other.isEmpty()) {
      return one.isPresent() ? one : other;
    }
    return one.getAsLong() <= other.getAsLong() ? one : other;
  }
}
