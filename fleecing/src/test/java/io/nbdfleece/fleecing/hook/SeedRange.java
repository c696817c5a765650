// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/// Seeds that a test runs, on as many threads as there are processors: those from `test.firstSeed`
/// on, as many as `test.seeds` says, or the one that `test.seed` names.
///
/// @param lastSeed included
public record SeedRange(long firstSeed, long lastSeed) {

  public static SeedRange ofProperties(long countDefault) {
    Long replay = Long.getLong("test.seed");
    long first = replay == null ? Long.getLong("test.firstSeed", 1) : replay;
    long count = replay == null ? Long.getLong("test.seeds", countDefault) : 1;
    return new SeedRange(first, first + count - 1);
  }

  public boolean isReplay() {
    return Long.getLong("test.seed") != null;
  }

  public long count() {
    return lastSeed - firstSeed + 1;
  }

  /// Runs what is done with one seed.
  public interface Player {
    void play(long seed);
  }

  /// Makes what one thread needs.
  public interface PlayerMaker {
    Player player();
  }

  /// Runs them all, or up to the first that fails, whose error is thrown.
  public void play(PlayerMaker maker) {
    AtomicLong next = new AtomicLong(firstSeed);
    AtomicBoolean failed = new AtomicBoolean();
    int threads = (int) Math.min(count(), Runtime.getRuntime().availableProcessors());
    List<CompletableFuture<Void>> all = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      all.add(
          CompletableFuture.runAsync(
              () -> {
                Player player = maker.player();
                try {
                  for (long seed = next.getAndIncrement();
                      seed <= lastSeed && !failed.get();
                      seed = next.getAndIncrement()) {
                    player.play(seed);
                  }
                } catch (RuntimeException | Error e) {
                  failed.set(true);
                  throw e;
                }
              },
              task -> Thread.ofPlatform().name("seeds").start(task)));
    }
    for (CompletableFuture<Void> each : all) {
      try {
        each.join();
      } catch (CompletionException e) {
        if (e.getCause() instanceof AssertionError error) {
          throw error;
        }
        throw e;
      }
    }
  }
}
