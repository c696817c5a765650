// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.Outcome;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Real threads and a real scratch file.
class TieredStoreStressTest {
  private static final int CLUSTER = 4096;
  private static final int THREADS = 4;
  private static final int ROUNDS = 6000;

  /// How many entries a thread keeps.
  private static final int KEPT = 200;

  @TempDir Path directory;
  private final IoWorkers workers = new IoWorkers("test-io", 4);

  @AfterEach
  void closeWorkers() {
    workers.close();
  }

  private TieredStore open(int ramSlots, int diskSlots) throws IOException {
    return TieredStore.open(
        new StoreConfig(CLUSTER, (long) ramSlots * CLUSTER, directory, (long) diskSlots * CLUSTER),
        workers);
  }

  @Test
  void manyThreadsReadBackWhatTheyPreserved() throws Exception {
    try (TieredStore store = open(16, 100_000)) {
      preserveAndReadBeside(store, List::of);
    }
  }

  @Test
  void manyThreadsReadBackWhatTheyPreservedWhileTheSizesChange() throws Exception {
    try (TieredStore store = open(16, 100_000)) {
      Random random = new Random(5);
      preserveAndReadBeside(
          store,
          () -> {
            store.spillSooner(random.nextBoolean());
            store.resize((8L + random.nextInt(60)) * CLUSTER, 100_000L * CLUSTER);
            return List.of();
          });
    }
  }

  /// @param beside is called again and again meanwhile
  private static void preserveAndReadBeside(TieredStore store, Callable<List<?>> beside)
      throws Exception {
    ConcurrentLinkedQueue<Throwable> faults = new ConcurrentLinkedQueue<>();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < THREADS; i++) {
      int seed = i;
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    try {
                      preserveAndRead(store, new Random(seed));
                    } catch (Exception | AssertionError e) {
                      faults.add(e);
                    }
                  }));
    }
    for (Thread thread : threads) {
      while (!thread.join(Duration.ofMillis(1))) {
        assertEquals(List.of(), beside.call());
      }
    }
    assertEquals(List.of(), List.copyOf(faults));
    await()
        .atMost(Duration.ofSeconds(30))
        .untilAsserted(
            () -> {
              StoreStatistics figures = store.statistics();
              assertEquals(0, figures.entries());
              assertEquals(0, figures.ramBytes());
              assertEquals(0, figures.diskBytes());
            });
    StoreStatistics figures = store.statistics();
    assertEquals((long) THREADS * ROUNDS * CLUSTER, figures.preservedBytesTotal());
    assertTrue(figures.spilledBytesTotal() > 0);
    assertEquals("", figures.problem());
  }

  private static void preserveAndRead(TieredStore store, Random random) throws IOException {
    List<int[]> kept = new ArrayList<>();
    ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
    for (int left = ROUNDS; left > 0; ) {
      Preserving several = new Preserving(store, Math.min(left, 1 + random.nextInt(8)));
      left -= several.stamps.length;
      several.run(random, kept);
      int[] some = kept.get(random.nextInt(kept.size()));
      check(store, some[0], some[1], random.nextBoolean() ? CLUSTER : 64, target);
      if (kept.size() >= KEPT) {
        release(store, kept, 1 + random.nextInt(KEPT));
      }
    }
    release(store, kept, kept.size());
  }

  /// Commits as slots come, on whatever thread.
  private static final class Preserving implements ClusterStore.SlotCompletion {
    private final TieredStore store;
    private final int[] stamps;
    private final int[] entries;
    private final Outcome done = new Outcome();
    private int count;

    Preserving(TieredStore store, int wanted) {
      this.store = store;
      this.stamps = new int[wanted];
      this.entries = new int[wanted];
    }

    void run(Random random, List<int[]> kept) throws IOException {
      Arrays.setAll(stamps, i -> random.nextInt());
      store.acquire(stamps.length, this);
      done.await();
      for (int i = 0; i < stamps.length; i++) {
        kept.add(new int[] {entries[i], stamps[i]});
      }
    }

    @Override
    public void acquired(List<RamSlot> slots) {
      for (int i = 0; i < slots.size(); i++) {
        ByteBuffer bytes = slots.get(i).buffer();
        while (bytes.hasRemaining()) {
          bytes.putInt(stamps[count + i]);
        }
      }
      for (int entry : store.commit(slots)) {
        entries[count++] = entry;
      }
      if (count == stamps.length) {
        done.succeeded();
      }
    }

    @Override
    public void failed(IOException error) {
      done.failed(error);
    }
  }

  private static void check(TieredStore store, int entry, int stamp, int length, ByteBuffer target)
      throws IOException {
    store.pin(entry);
    Outcome done = new Outcome();
    store.read(entry, 0, target.clear().limit(length), done);
    done.await();
    store.unpin(entry);
    for (int i = 0; i < length; i += Integer.BYTES) {
      assertEquals(stamp, target.getInt(i));
    }
  }

  private static void release(TieredStore store, List<int[]> kept, int count) {
    int[] entries = new int[count];
    for (int i = 0; i < count; i++) {
      entries[i] = kept.removeLast()[0];
    }
    store.release(entries, count);
  }

  @Test
  void closeWithWorkUnderWayEnds() throws Exception {
    for (int round = 0; round < 50; round++) {
      try (TieredStore store = open(16, 1000)) {
        for (int i = 0; i < 64; i++) {
          SlotOutcome outcome = new SlotOutcome();
          store.acquire(1, outcome);
          store.commit(outcome.slot());
        }
        store.release(new int[] {1, 2, 3, 60, 61}, 5);
      }
    }
  }

  @Test
  void missingScratchDirectoryIsNamedWithItsOption() {
    Path missing = directory.resolve("missing");
    IOException error =
        assertThrows(
            IOException.class,
            () ->
                TieredStore.open(
                    new StoreConfig(CLUSTER, 16 * CLUSTER, missing, CLUSTER), workers));
    assertEquals(
        "cannot use scratch directory "
            + missing
            + ": No such file or directory (ENOENT); create it, or choose another with --scratch",
        error.getMessage());
  }

  @Test
  void storeWithoutDiskTierNeedsNoScratchDirectory() throws IOException {
    Path missing = directory.resolve("missing");
    TieredStore.open(new StoreConfig(CLUSTER, 16 * CLUSTER, missing, 0), workers).close();
  }
}
