// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cache.posix.IoWorkers;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Each operation of a store against each other, at the same moment, with a real scratch file: what
/// is held keeps its bytes, and of what is released nothing is left. The table of entries and the
/// slots have no synchronisation of their own: the store, whose lock guards them, is the smallest
/// thing that is concurrent.
///
/// `-Dtest.rounds=N` plays more rounds of each pair, `-Dtest.seed=N` repeats the choices of one
/// round of each (not the threads).
@Timeout(value = 10, unit = TimeUnit.MINUTES)
final class TieredStoreRaceTest {
  private static final int ROUNDS = 150;
  private static final int SPINS_MAX = 10_000;

  private final IoWorkers workers = new IoWorkers("test-io", 4);
  private final ExecutorService actors =
      Executors.newFixedThreadPool(2, Thread.ofPlatform().daemon().name("actor-", 0).factory());

  @AfterEach
  void end() {
    actors.shutdownNow();
    workers.close();
  }

  static List<Arguments> pairs() {
    List<Arguments> pairs = new ArrayList<>();
    RacedStore.Operation[] all = RacedStore.Operation.values();
    for (int i = 0; i < all.length; i++) {
      for (int k = i; k < all.length; k++) {
        if (all[i] != RacedStore.Operation.KEEP || i != k) { // an entry is kept once
          pairs.add(Arguments.of(all[i], all[k]));
        }
      }
    }
    return pairs;
  }

  @ParameterizedTest(name = "{0}+{1}")
  @MethodSource("pairs")
  void whicheverComesFirstWhatIsHeldIsWhole(
      RacedStore.Operation first, RacedStore.Operation second, @TempDir Path directory)
      throws IOException {
    long replay = Long.getLong("test.seed", -1);
    long firstSeed = replay >= 0 ? replay : Math.abs(System.nanoTime() / 2);
    int rounds = replay >= 0 ? 1 : Integer.getInteger("test.rounds", ROUNDS);
    try (TieredStore store = TieredStore.open(RacedStore.config(directory), workers)) {
      for (long seed = firstSeed; seed < firstSeed + rounds; seed++) {
        try {
          race(store, first, second, new Random(seed));
        } catch (AssertionError | IOException | RuntimeException e) {
          throw new AssertionError(
              first
                  + "+"
                  + second
                  + " failed; repeat: -Dtest=TieredStoreRaceTest -Dtest.seed="
                  + seed,
              e);
        }
      }
    }
  }

  private void race(
      TieredStore store, RacedStore.Operation first, RacedStore.Operation second, Random random)
      throws IOException {
    RacedStore raced = new RacedStore(store, random);
    RacedStore.Play one = raced.play(first, 0, random);
    RacedStore.Play other = raced.play(second, first == second ? 1 : 0, random);
    AtomicInteger arrived = new AtomicInteger();
    CompletableFuture<Void> ended =
        CompletableFuture.allOf(
            CompletableFuture.runAsync(() -> meetAndPlay(arrived, one), actors),
            CompletableFuture.runAsync(() -> meetAndPlay(arrived, other), actors));
    ended.orTimeout(30, TimeUnit.SECONDS).join(); // a CompletionException when one hangs or fails
    raced.check();
    raced.releaseAll();
    await()
        .atMost(Duration.ofSeconds(30))
        .pollDelay(Duration.ZERO)
        .pollInterval(Duration.ofMillis(1))
        .untilAsserted(
            () -> {
              StoreStatistics left = store.statistics();
              assertEquals(0, left.entries(), "entries");
              assertEquals(0, left.ramBytes(), "RAM");
              assertEquals(0, left.spareBytes(), "spare copies");
              assertEquals(0, left.diskBytes(), "scratch file");
            });
  }

  private static void meetAndPlay(AtomicInteger arrived, RacedStore.Play play) {
    int spins = 0;
    arrived.incrementAndGet();
    while (arrived.get() < 2) {
      if (++spins < SPINS_MAX) {
        Thread.onSpinWait();
      } else {
        LockSupport.parkNanos(1_000); // the other one may have no processor
      }
    }
    for (int turn = 0; turn < play.headStart(); turn++) {
      Thread.onSpinWait();
    }
    play.run();
  }
}
