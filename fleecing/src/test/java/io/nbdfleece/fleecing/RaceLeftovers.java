// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.HookLeftovers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.awaitility.Awaitility;

/// What nobody uses any more and is there all the same.
final class RaceLeftovers {
  private RaceLeftovers() {}

  /// Once all snapshots have been released: soon there is no epoch, copy, registered read, slot,
  /// pin or space of the scratch file left. What is pinned still would keep its slot or its space.
  static void awaitNone(FleecingHook hook, Supplier<StoreStatistics> statistics) {
    if (HookLeftovers.of(hook).isEmpty() && held(statistics.get()).isEmpty()) {
      return;
    }
    Awaitility.await("nothing is left")
        .atMost(Duration.ofSeconds(30))
        .pollDelay(Duration.ZERO)
        .pollInterval(Duration.ofMillis(1))
        .untilAsserted(
            () -> {
              assertEquals(List.of(), HookLeftovers.of(hook));
              assertEquals(List.of(), held(statistics.get()));
            });
  }

  /// Once the engine has been closed.
  ///
  /// @param directory of the disk and the scratch file
  static void requireNone(FleecingHook hook, StoreStatistics statistics, Path directory)
      throws IOException {
    assertEquals(List.of(), HookLeftovers.of(hook), "left after the end");
    assertEquals(0, statistics.entries(), "entries after the end");
    assertEquals(List.of(), openIn(directory), "files open after the end");
  }

  private static List<String> held(StoreStatistics store) {
    List<String> held = new ArrayList<>();
    add(held, "entries", store.entries());
    add(held, "bytes of RAM", store.ramBytes());
    add(held, "bytes being spilled", store.spillingBytes());
    add(held, "bytes of spare copies", store.spareBytes());
    add(held, "bytes of the scratch file", store.diskBytes());
    return held;
  }

  private static void add(List<String> held, String what, long count) {
    if (count != 0) {
      held.add(what + ": " + count);
    }
  }

  /// The files of a directory that this process has open, those without a name included.
  static List<String> openIn(Path directory) throws IOException {
    String prefix = directory.toRealPath() + "/";
    List<String> open = new ArrayList<>();
    try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
      for (Path descriptor : descriptors.toList()) {
        String target = target(descriptor);
        if (target.startsWith(prefix)) {
          open.add(target);
        }
      }
    }
    return open;
  }

  private static String target(Path descriptor) throws IOException {
    try {
      return Files.readSymbolicLink(descriptor).toString();
    } catch (NoSuchFileException e) {
      return ""; // closed since it was listed
    }
  }
}
