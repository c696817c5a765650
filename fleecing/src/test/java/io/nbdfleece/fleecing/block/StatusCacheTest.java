// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.block.BlockExtent.State;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class StatusCacheTest {
  private static final int UNITS = 24;

  private final AtomicLong nowNanos = new AtomicLong();
  private final StatusCache cache = new StatusCache(nowNanos::get);

  private void learn(long startBytes, long endBytes, State state) {
    StatusCache.Walk walk = cache.walk();
    walk.asks(startBytes);
    walk.found(endBytes, state);
  }

  private static Optional<BlockExtent> some(long lengthBytes, State state) {
    return Optional.of(new BlockExtent(lengthBytes, state));
  }

  @Test
  void whatWasFoundAnswersForEachPieceOfIt() {
    assertEquals(Optional.empty(), cache.at(100, 1));
    learn(100, 1L << 44, State.HOLE);
    assertEquals(Optional.empty(), cache.at(99, 1));
    assertEquals(some(1, State.HOLE), cache.at(100, 1));
    assertEquals(some(1L << 27, State.HOLE), cache.at(1L << 43, 1L << 27));
    assertEquals(some(10, State.HOLE), cache.at((1L << 44) - 10, 1L << 27));
    assertEquals(Optional.empty(), cache.at(1L << 44, 1));
  }

  /// `keptFrom` to `keptTo` of 100 to 200 is known afterwards.
  @ParameterizedTest(name = "{0} to {1}")
  @CsvSource({
    "50, 100, 100, 200",
    "50, 101, 101, 200",
    "100, 101, 101, 200",
    "100, 200, 0, 0",
    "0, 300, 0, 0",
    "150, 160, 100, 150",
    "150, 200, 100, 150",
    "199, 250, 100, 199",
    "200, 250, 100, 200"
  })
  void aChangeIsForgotten(long startBytes, long endBytes, long keptFrom, long keptTo) {
    for (State state : List.of(State.DATA, State.HOLE)) {
      learn(100, 200, state);
      cache.changed(startBytes, endBytes);
      for (long at = 90; at < 210; at++) {
        Optional<BlockExtent> expected =
            keptFrom <= at && at < keptTo ? some(1, state) : Optional.empty();
        assertEquals(expected, cache.at(at, 1), "at " + at);
      }
      cache.changed(0, 1000);
    }
  }

  @Test
  void aChangeWhileTheFileSystemIsAskedCutsItsAnswer() {
    StatusCache.Walk walk = cache.walk();
    walk.asks(100);
    cache.changed(0, 100);
    cache.changed(180, 190);
    cache.changed(150, 300);
    walk.found(1000, State.HOLE);
    assertEquals(some(50, State.HOLE), cache.at(100, 900));
    assertEquals(Optional.empty(), cache.at(150, 1));
    assertEquals(Optional.empty(), cache.at(300, 1));
  }

  @Test
  void aChangeWhereTheFileSystemIsAskedLeavesNothing() {
    for (long[] change : new long[][] {{100, 101}, {99, 101}, {0, 1000}}) {
      StatusCache.Walk walk = cache.walk();
      walk.asks(100);
      cache.changed(change[0], change[1]);
      walk.found(1000, State.HOLE);
      assertEquals(Optional.empty(), cache.at(100, 1), "from " + change[0]);
      assertEquals(Optional.empty(), cache.at(500, 1), "from " + change[0]);
    }
  }

  @Test
  void theLastExtentOfAWalkIsKept() {
    StatusCache.Walk walk = cache.walk();
    walk.asks(0);
    walk.found(10, State.DATA);
    walk.asks(10);
    assertEquals(Optional.empty(), cache.at(10, 1), "not known yet");
    walk.found(10, State.HOLE); // nothing there
    walk.asks(10);
    walk.found(500, State.DATA);
    assertEquals(Optional.empty(), cache.at(0, 1));
    assertEquals(some(490, State.DATA), cache.at(10, 1000));
  }

  @Test
  void theOldestGivesWay() {
    for (int i = 0; i <= StatusCache.EXTENTS_MAX; i++) {
      learn(i * 10L, i * 10L + 10, State.HOLE);
    }
    assertEquals(Optional.empty(), cache.at(0, 1));
    for (int i = 1; i <= StatusCache.EXTENTS_MAX; i++) {
      assertEquals(some(10, State.HOLE), cache.at(i * 10L, 10));
    }
  }

  @Test
  void anAnswerWhoseQuestionHasGivenWayIsDropped() {
    StatusCache.Walk late = cache.walk();
    late.asks(0);
    for (int i = 1; i <= StatusCache.EXTENTS_MAX; i++) {
      learn(i * 10L, i * 10L + 10, State.HOLE);
    }
    late.found(1000, State.DATA);
    assertEquals(Optional.empty(), cache.at(0, 1));
    assertEquals(
        some(10, State.HOLE),
        cache.at(StatusCache.EXTENTS_MAX * 10L, 10),
        "what has taken its place");
  }

  @Test
  void nothingIsBelievedForLong() {
    nowNanos.set(Long.MAX_VALUE - 10); // the clock may run over
    StatusCache.Walk walk = cache.walk();
    walk.asks(0);
    nowNanos.addAndGet(100); // it was true when it was asked; nobody knows whether it still was now
    walk.found(1000, State.HOLE);
    nowNanos.addAndGet(StatusCache.KEPT_NANOS - 101);
    assertTrue(cache.at(0, 1).isPresent());
    nowNanos.addAndGet(1);
    assertEquals(Optional.empty(), cache.at(0, 1));
  }

  /// What somebody who changes a disk, and somebody who asks where it has holes, may do at the same
  /// time, in any order of their steps: whatever is known agrees with the disk, but for changes
  /// that nobody has been told the end of.
  @Test
  void randomStepsNeverLeaveWhatIsNotTrue() {
    int known = 0;
    for (long seed = 1; seed <= 2_000; seed++) {
      known += new Steps(seed).play();
    }
    assertTrue(known > 100_000, "known: " + known);
  }

  private static final class Steps {
    private final long seed;
    private final SplittableRandom random;
    private final StatusCache cache = new StatusCache(() -> 0);
    private final State[] disk = new State[UNITS];
    private final List<long[]> untold = new ArrayList<>();
    private final List<Asking> asking = new ArrayList<>();

    Steps(long seed) {
      this.seed = seed;
      random = new SplittableRandom(seed);
      for (int i = 0; i < UNITS; i++) {
        disk[i] = State.HOLE;
      }
    }

    /// A walk between its question and its answer. The file system looks at one unit after the
    /// other, and not at all of them in one moment.
    private final class Asking {
      private final StatusCache.Walk walk = cache.walk();
      private final int start = random.nextInt(UNITS);
      private State state = State.DATA;
      private int end = start;

      Asking() {
        walk.asks(start);
      }

      /// Whether it is over.
      boolean step() {
        if (end == start) {
          state = disk[start];
          end++;
        } else if (end < UNITS && disk[end] == state) {
          end++;
        } else {
          walk.found(end, state);
          return true;
        }
        return false;
      }
    }

    int play() {
      int known = 0;
      for (int step = 0; step < 200; step++) {
        switch (random.nextInt(8)) {
          case 0 -> change();
          case 1 -> tell();
          case 2 -> asking.add(new Asking());
          default -> asking.removeIf(each -> random.nextBoolean() && each.step());
        }
        known += check();
      }
      return known;
    }

    private void change() {
      int start = random.nextInt(UNITS);
      int end = start + 1 + random.nextInt(Math.min(4, UNITS - start));
      State state = random.nextBoolean() ? State.DATA : State.HOLE;
      for (int i = start; i < end; i++) {
        disk[i] = state;
      }
      untold.add(new long[] {start, end});
    }

    private void tell() {
      if (!untold.isEmpty()) {
        long[] change = untold.remove(random.nextInt(untold.size()));
        cache.changed(change[0], change[1]);
      }
    }

    private int check() {
      int known = 0;
      for (int i = 0; i < UNITS; i++) {
        int at = i;
        Optional<BlockExtent> found = cache.at(at, 1);
        boolean changing = untold.stream().anyMatch(each -> each[0] <= at && at < each[1]);
        if (found.isPresent()) {
          known++;
          assertTrue(changing || found.get().state() == disk[at], "seed " + seed + ", at " + at);
        }
      }
      return known;
    }
  }
}
