// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.integration.PointInTimeChecker.View;
import io.nbdfleece.nbd.client.NbdClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.awaitility.Awaitility;

/// Some seconds in which guests write and all that a server can be asked for is asked for at the
/// same time; then quiet, and a check of everything that was seen. For one thread.
final class SoakRound {
  /// So many writes fit into the memory of the check.
  private static final int WRITES_MAX = 100_000;

  private static final Duration TURN_MAX = Duration.ofSeconds(90);

  private final PackagedServer server;
  private final List<String> disks;
  private final SoakHistory history;
  private final Random random;
  private final AtomicBoolean stop = new AtomicBoolean();
  private final Queue<Throwable> failures = new ConcurrentLinkedQueue<>();
  private final Map<String, Integer> turns = new ConcurrentSkipListMap<>();

  /// Something that is done again and again.
  interface Routine {
    /// Does it once, and leaves nothing of it behind.
    void turn(Random choices) throws Exception;
  }

  SoakRound(PackagedServer server, List<String> disks, SoakHistory history, long seed) {
    this.server = server;
    this.disks = disks;
    this.history = history;
    random = new Random(seed);
  }

  /// Returns how often what was done.
  Map<String, Integer> run(SoakRoutines routines, Duration time, String hint) throws Exception {
    long writesBefore = history.numbers().get();
    List<Thread> threads = new ArrayList<>();
    List<WriteRecord> records;
    try (StampLoad load = StampLoad.start(server, disks, 1, random.nextLong(), history.numbers())) {
      routines
          .byName()
          .forEach((name, routine) -> threads.add(start(name, routine, random.nextLong())));
      long endNanos = System.nanoTime() + time.toNanos();
      Awaitility.await()
          .atMost(time.plus(TURN_MAX))
          .pollInterval(Duration.ofMillis(20))
          .until(
              () ->
                  System.nanoTime() >= endNanos
                      || history.numbers().get() - writesBefore >= WRITES_MAX
                      || !failures.isEmpty()
                      || !load.failures().isEmpty());
      end(threads);
      load.stop();
      assertEquals(List.of(), load.failures(), "guests, " + hint);
      records = load.records();
    }
    assertEquals(List.of(), List.copyOf(failures), () -> hint + ": " + stackTraces());
    flush();
    List<View> now = new ArrayList<>();
    for (int disk = 0; disk < disks.size(); disk++) {
      now.add(new View(disk, StampReader.read(server.uri(disks.get(disk)), disk)));
    }
    history.settle(records, routines.takeFrozen(), now, hint);
    Map<String, Integer> counts = new TreeMap<>(turns);
    counts.put("writes", records.size());
    return counts;
  }

  private Thread start(String name, Routine routine, long seed) {
    Random choices = new Random(seed);
    return Thread.ofPlatform()
        .name("soak-" + name)
        .daemon()
        .start(
            () -> {
              try {
                while (!stop.get() && failures.isEmpty()) {
                  routine.turn(choices);
                  int _ = turns.merge(name, 1, Integer::sum);
                }
              } catch (Exception | AssertionError e) {
                failures.add(new AssertionError(name + ": " + e, e));
              }
            });
  }

  private void end(List<Thread> threads) throws InterruptedException {
    stop.set(true);
    for (Thread thread : threads) {
      if (!thread.join(TURN_MAX)) {
        throw new AssertionError(thread.getName() + " hangs: " + List.of(thread.getStackTrace()));
      }
    }
  }

  private void flush() throws Exception {
    for (String disk : disks) {
      try (NbdClient client = server.connect(disk)) {
        Images.await(client.flush());
      }
    }
  }

  private String stackTraces() {
    StringBuilder text = new StringBuilder();
    for (Throwable failure : failures) {
      text.append(failure).append('\n');
      for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
        for (StackTraceElement frame : cause.getStackTrace()) {
          text.append("    at ").append(frame).append('\n');
        }
      }
    }
    return text.toString();
  }
}
