// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.integration.PointInTimeChecker.Interval;
import io.nbdfleece.integration.PointInTimeChecker.View;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/// What disks of stamps hold between two rounds of writing, so that a check of one round need not
/// know the writes of all rounds before. Belongs to one thread, but for [#numbers].
final class SoakHistory {
  private final AtomicLong numbers = new AtomicLong();
  private final List<View> live = new ArrayList<>();
  private long settledNanos;

  /// Views that were frozen together.
  record Frozen(String name, Interval window, List<View> views) {
    Frozen {
      views = List.copyOf(views);
    }
  }

  /// Of disks that are full of zeroes.
  SoakHistory(int diskCount, int blockCount) {
    for (int disk = 0; disk < diskCount; disk++) {
      live.add(new View(disk, new long[blockCount]));
    }
    settledNanos = System.nanoTime();
  }

  /// The numbers of writes. Any thread.
  AtomicLong numbers() {
    return numbers;
  }

  /// Checks what a round has shown, and goes on from there.
  ///
  /// @param records all writes of the round, each of them answered
  /// @param now what the disks hold, in order, after the last of them
  void settle(List<WriteRecord> records, List<Frozen> frozen, List<View> now, String hint) {
    List<WriteRecord> all = new ArrayList<>(records);
    for (View view : live) {
      addBaseline(view, all);
    }
    PointInTimeChecker checker = new PointInTimeChecker(all);
    long nowNanos = System.nanoTime();
    assertEquals(
        List.of(), checker.check(new Interval(nowNanos, nowNanos), now), () -> "live, " + hint);
    for (Frozen each : frozen) {
      assertEquals(
          List.of(),
          checker.check(each.window(), each.views()),
          () -> "snapshot " + each.name() + ", " + hint);
    }
    live.clear();
    live.addAll(now);
    settledNanos = nowNanos;
  }

  /// As if each block had been written for itself, and answered when the round before ended.
  private void addBaseline(View view, List<WriteRecord> all) {
    long[] contents = view.contents();
    for (int block = 0; block < contents.length; block++) {
      if (contents[block] != Stamp.ZEROES) {
        all.add(
            new WriteRecord(
                contents[block],
                view.disk(),
                block,
                1,
                WriteRecord.Content.STAMPS,
                Long.MIN_VALUE,
                settledNanos));
      }
    }
  }
}
