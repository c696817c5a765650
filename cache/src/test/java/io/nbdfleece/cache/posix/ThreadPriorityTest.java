// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class ThreadPriorityTest {
  private static final Path SCHED = Path.of("/proc/thread-self/sched");
  private static final int NICE_FIELD_BEHIND_NAME = 16; // proc_pid_stat(5): the 19th field

  static int nice() {
    try {
      String stat = Files.readString(Path.of("/proc/thread-self/stat"));
      String behindName = stat.substring(stat.lastIndexOf(')') + 2);
      return Integer.parseInt(behindName.split(" ", -1)[NICE_FIELD_BEHIND_NAME]);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void oneThreadGivesWayAndOthersDoNot() throws Exception {
    int before = nice();
    AtomicInteger nicer = new AtomicInteger();
    Thread thread =
        Thread.ofPlatform()
            .start(
                () -> {
                  ThreadPriority.giveWay();
                  nicer.set(nice());
                });
    thread.join();
    assertEquals(Math.min(19, before + 10), nicer.get());
    assertEquals(before, nice());
  }

  /// How long the system lets the calling thread run at a time.
  private static long sliceNanos() {
    try (Stream<String> lines = Files.lines(SCHED)) {
      String line = lines.filter(each -> each.startsWith("se.slice")).findAny().orElseThrow();
      return Long.parseLong(line.substring(line.indexOf(':') + 1).strip());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean canSetSlice() {
    String[] version = System.getProperty("os.version").split("[^0-9]+", 3);
    int major = Integer.parseInt(version[0]);
    return major > 6 || (major == 6 && Integer.parseInt(version[1]) >= 12);
  }

  @Test
  void oneThreadRunsAtOnceWithItsPriorityUntilItGivesWay() throws Exception {
    assumeTrue(canSetSlice(), "Linux before 6.12 has the same time slices for all");
    assumeTrue(Files.exists(SCHED), "the system does not tell");
    List<Long> slices = new CopyOnWriteArrayList<>();
    AtomicInteger nice = new AtomicInteger();
    Thread thread =
        Thread.ofPlatform()
            .start(
                () -> {
                  slices.add(sliceNanos());
                  ThreadPriority.runAtOnce();
                  slices.add(sliceNanos());
                  nice.set(nice());
                  ThreadPriority.giveWay();
                  slices.add(sliceNanos());
                });
    thread.join();
    assertEquals(List.of(sliceNanos(), 100_000L, sliceNanos()), slices);
    assertEquals(nice(), nice.get());
  }
}
