// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// Writers against the forgetting of their regions, on real threads: whenever a write is let go,
/// and ever after, its region is in the forced log or its mark is forced.
@Timeout(value = 2, unit = TimeUnit.MINUTES)
final class RetiringRaceTest {
  private static final int REGIONS = 8;
  private static final int GRANULES = 1 << 16;
  private static final long SIZE_BYTES = REGIONS * (4L << 20);
  private static final int GRANULE_BYTES = (int) (SIZE_BYTES / GRANULES);
  private static final int WRITES = Integer.getInteger("test.writes", 200_000);

  private final LogLayout layout = new LogLayout(1, SIZE_BYTES);
  private final AtomicLongArray marks = new AtomicLongArray(GRANULES / 64);
  private final AtomicLongArray forcedMarks = new AtomicLongArray(GRANULES / 64);
  private final AtomicReference<BitSet> forcedLog = new AtomicReference<>(new BitSet());
  private final AtomicReference<Optional<AssertionError>> wrong =
      new AtomicReference<>(Optional.empty());

  /// Keeps apart what is written and what is forced.
  private final class ForcedFile implements StateFiles.PatchedFile {
    private final byte[] content = layout.empty(0);

    @Override
    public void write(long offsetBytes, byte[] bytes) {
      System.arraycopy(bytes, 0, content, (int) offsetBytes, bytes.length);
    }

    @Override
    public void force() throws IOException {
      forcedLog.set(layout.regions(content));
    }

    @Override
    public void close() {}
  }

  private void check(int granule, String when) {
    // The log first: what leaves it has been forced before.
    boolean logged = forcedLog.get().get(granule / (GRANULES / REGIONS));
    boolean forced = (forcedMarks.get(granule >>> 6) >>> granule & 1) != 0;
    if (!logged && !forced) {
      wrong.set(Optional.of(new AssertionError("granule " + granule + " would be lost, " + when)));
    }
  }

  @Test
  void writeIsInTheLogOrItsMarkIsForced() throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("retiring race seed: " + seed);
    ExecutorService workers = Executors.newFixedThreadPool(2);
    ActivityLog log =
        new ActivityLog(
            layout,
            new ForcedFile(),
            workers,
            error -> wrong.set(Optional.of(new AssertionError(error))));
    List<Thread> writers = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      Random random = new Random(seed + i);
      Thread writer = new Thread(() -> write(log, random), "writer " + i);
      writer.start();
      writers.add(writer);
    }
    int seconds = 0;
    while (writers.stream().anyMatch(Thread::isAlive)) {
      seconds += ActivityLog.IDLE_SECONDS;
      log.time(seconds);
      BitSet idle = log.beginRetiring();
      for (int i = 0; i < marks.length(); i++) {
        forcedMarks.set(i, marks.get(i));
      }
      log.endRetiring(idle);
    }
    workers.shutdown();
    assertTrue(workers.awaitTermination(1, TimeUnit.MINUTES));
    assertEquals(Optional.empty(), wrong.get());
    assertTrue(log.forces() > 0);
  }

  private void write(ActivityLog log, Random random) {
    List<Integer> written = new ArrayList<>();
    for (int i = 0; i < WRITES; i++) {
      int granule = random.nextInt(GRANULES);
      marks.getAndUpdate(granule >>> 6, word -> word | 1L << granule);
      long offset = (long) granule * GRANULE_BYTES;
      if (!log.covers(offset, GRANULE_BYTES)) {
        Semaphore covered = new Semaphore(0);
        log.whenCovered(offset, GRANULE_BYTES, covered::release);
        covered.acquireUninterruptibly();
      }
      check(granule, "at once");
      written.add(granule);
      check(written.get(random.nextInt(written.size())), "later");
    }
  }
}
