// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What is in the files at any moment, seen through the page cache, is what a killed server leaves.
@Timeout(value = 3, unit = TimeUnit.MINUTES)
final class KilledServerTest {
  private static final long SIZE_BYTES = 1L << 30;
  private static final int GRANULE_BYTES = 4096;
  private static final int THREADS = 2;
  private static final int COPIES = 50;

  @TempDir Path directory;

  @Test
  void filesCopiedWhileWritesAreMarkedHoldEveryWriteThatWasLetGo() throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("killed server seed: " + seed);
    Path image = Files.createFile(directory.resolve("disk"));
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(SIZE_BYTES);
    }
    Path folder = Files.createDirectory(directory.resolve("state"));
    FileDiskIdentity identity = FileDiskIdentity.of(image);
    ExecutorService workers = Executors.newFixedThreadPool(2);
    FileDiskState state = open(folder, identity, workers);
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(record("b", live.content())));

    AtomicLongArray let = new AtomicLongArray((int) (SIZE_BYTES / GRANULE_BYTES / 64));
    AtomicBoolean stop = new AtomicBoolean();
    List<Thread> writers = new ArrayList<>();
    for (int i = 0; i < THREADS; i++) {
      Random random = new Random(seed + i);
      Thread writer = new Thread(() -> write(random, stop, state, live.bits(), let), "writer " + i);
      writer.start();
      writers.add(writer);
    }
    for (int i = 0; i < COPIES; i++) {
      state.beat();
      state.tick();
      BitSet before = BitSet.valueOf(longs(let));
      Path copy = directory.resolve("copy-" + i);
      copy(folder, copy);
      GranuleSet found = read(copy, identity, workers);
      for (int bit = before.nextSetBit(0); bit >= 0; bit = before.nextSetBit(bit + 1)) {
        assertTrue(found.granules().contains(bit), "granule " + bit + " in copy " + i);
      }
    }
    stop.set(true);
    for (Thread each : writers) {
      each.join();
    }
    GranuleSet last = live.bits().toSet();
    state.close();
    FileDiskState again = open(folder, identity, workers);
    assertEquals(last.granules(), again.open(again.found().getFirst()).bits().toSet().granules());
    assertEquals("", again.finding());
    again.close();
    workers.shutdown();
    assertTrue(workers.awaitTermination(1, TimeUnit.MINUTES));
  }

  private static void write(
      Random random, AtomicBoolean stop, FileDiskState state, BitArray bits, AtomicLongArray let) {
    while (!stop.get()) {
      long granule = random.nextInt((int) (SIZE_BYTES / GRANULE_BYTES));
      long offset = granule * GRANULE_BYTES;
      bits.mark(offset, GRANULE_BYTES);
      if (!state.marks().covers(offset, GRANULE_BYTES)) {
        CountDownLatch covered = new CountDownLatch(1);
        state.marks().whenCovered(offset, GRANULE_BYTES, covered::countDown);
        try {
          covered.await();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return;
        }
      }
      let.getAndUpdate((int) (granule >>> 6), word -> word | 1L << granule);
    }
  }

  private static long[] longs(AtomicLongArray array) {
    long[] longs = new long[array.length()];
    for (int i = 0; i < longs.length; i++) {
      longs[i] = array.get(i);
    }
    return longs;
  }

  private static void copy(Path from, Path to) throws IOException {
    Files.createDirectory(to);
    try (Stream<Path> files = Files.list(from)) {
      for (Path each : files.toList()) {
        Files.copy(each, to.resolve(each.getFileName()));
      }
    }
  }

  private static GranuleSet read(Path folder, DiskIdentity identity, ExecutorService workers)
      throws IOException {
    FileDiskState state = open(folder, identity, workers);
    try {
      assertEquals("", state.finding());
      return state.open(state.found().getFirst()).bits().toSet();
    } finally {
      state.close();
    }
  }

  private static FileDiskState open(Path folder, DiskIdentity identity, ExecutorService workers)
      throws IOException {
    return FileDiskState.open(
        "vda",
        new FolderFiles(folder),
        identity,
        workers,
        new LinuxHost(),
        reason -> {
          throw new AssertionError(reason);
        },
        OptionalLong.empty());
  }

  private static BitmapRecord record(String name, String content) {
    return new BitmapRecord(
        name,
        GRANULE_BYTES,
        content,
        Form.LIVE,
        true,
        false,
        false,
        Optional.empty(),
        Instant.EPOCH);
  }
}
