// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;

/// What a process holds, as /proc tells.
///
/// @param residentBytes memory in RAM, shared file pages included
/// @param anonymousBytes of these, not backed by a file: heap, direct memory, stacks
record ProcessFigures(int threads, int descriptors, long residentBytes, long anonymousBytes) {
  // pread64, preadv, preadv2.
  private static final Set<String> READ_CALLS =
      System.getProperty("os.arch", "").equals("aarch64")
          ? Set.of("67", "69", "286")
          : Set.of("17", "295", "327");

  static ProcessFigures of(long pid) throws IOException {
    Path process = Path.of("/proc", Long.toString(pid));
    return new ProcessFigures(
        count(process.resolve("task")),
        count(process.resolve("fd")),
        status(process, "VmRSS:"),
        status(process, "RssAnon:"));
  }

  /// Space on the file system that files take which were made in that directory, are open in the
  /// process, and have no name (any more).
  static long unnamedBytes(long pid, Path directory) throws IOException {
    long bytes = 0;
    try (Stream<Path> descriptors = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
      for (Path descriptor : descriptors.toList()) {
        bytes += isUnnamedIn(directory, descriptor) ? allocatedBytes(descriptor) : 0;
      }
    }
    return bytes;
  }

  private static boolean isUnnamedIn(Path directory, Path descriptor) throws IOException {
    try {
      String target = Files.readSymbolicLink(descriptor).toString();
      return target.startsWith(directory.toString()) && target.endsWith(" (deleted)");
    } catch (NoSuchFileException e) {
      return false; // closed meanwhile
    }
  }

  private static long allocatedBytes(Path descriptor) throws IOException {
    Command.Result blocks = Command.run("stat", "-L", "-c", "%b", descriptor.toString());
    return blocks.exitCode() == 0 ? Long.parseLong(blocks.out().strip()) * 512 : 0;
  }

  /// Threads but for those whose names begin so, as far as the kernel knows names (15 characters).
  static int threadsBesides(long pid, String prefix) throws IOException {
    int threads = 0;
    try (Stream<Path> tasks = Files.list(Path.of("/proc", Long.toString(pid), "task"))) {
      for (Path task : tasks.toList()) {
        threads += isNamed(task, prefix) ? 0 : 1;
      }
    }
    return threads;
  }

  private static boolean isNamed(Path task, String prefix) {
    try {
      return Files.readString(task.resolve("comm")).startsWith(prefix);
    } catch (IOException e) {
      return true; // it ended between the listing and now
    }
  }

  /// Threads that are in the kernel, in a read at a position of a file, at this moment.
  static int threadsInRead(long pid) throws IOException {
    int reading = 0;
    try (Stream<Path> threads = Files.list(Path.of("/proc", Long.toString(pid), "task"))) {
      for (Path thread : threads.toList()) {
        reading += isInRead(thread) ? 1 : 0;
      }
    }
    return reading;
  }

  private static boolean isInRead(Path thread) throws IOException {
    try {
      // The number of the system call comes first, or "running".
      String call = Files.readString(thread.resolve("syscall")).split("\\s+", 2)[0];
      return READ_CALLS.contains(call);
    } catch (NoSuchFileException e) {
      // It ended between the listing and now.
      return false;
    }
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
