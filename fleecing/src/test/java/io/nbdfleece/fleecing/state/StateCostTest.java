// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What keeping bitmaps costs on this machine's file system: it prints times and asserts counts.
/// `-Dtest.bitmaps=50` opens as many (each takes 32 MiB of space).
@Timeout(value = 3, unit = TimeUnit.MINUTES)
final class StateCostTest {
  private static final long SIZE_BYTES = 16L << 40;
  private static final int GRANULE_BYTES = 64 << 10;
  private static final int REGIONS = 200;

  @TempDir Path folder;

  /// A disk of 16 TiB, which this file system may not be able to hold.
  private record LargeDisk(long sizeBytes) implements DiskIdentity {
    @Override
    public String identity() {
      return "large";
    }

    @Override
    public String stamp() {
      return "1";
    }
  }

  private FileDiskState open(ExecutorService workers) throws IOException {
    return FileDiskState.open(
        "vda",
        new FolderFiles(folder),
        new LargeDisk(SIZE_BYTES),
        workers,
        new LinuxHost(),
        reason -> {
          throw new AssertionError(reason);
        },
        OptionalLong.empty());
  }

  private static BitmapRecord record(int number, String content) {
    return new BitmapRecord(
        "b" + number,
        GRANULE_BYTES,
        content,
        Form.LIVE,
        true,
        false,
        false,
        Optional.empty(),
        Instant.EPOCH);
  }

  private static String since(long startNanos) {
    return String.format("%.1f ms", (System.nanoTime() - startNanos) / 1e6);
  }

  @Test
  void manyBitmapsOfALargeDiskOpenAfterEachKindOfEnd() throws Exception {
    int count = Integer.getInteger("test.bitmaps", 8);
    ExecutorService workers = Executors.newFixedThreadPool(2);
    FileDiskState state = open(workers);
    long start = System.nanoTime();
    List<BitmapRecord> records = new ArrayList<>();
    Random random = new Random(1);
    for (int i = 0; i < count; i++) {
      DiskState.LiveContent live = state.create(GRANULE_BYTES);
      records.add(record(i, live.content()));
      for (int j = 0; j < 1000; j++) {
        live.bits().mark((random.nextLong() >>> 1) % SIZE_BYTES, 1);
      }
    }
    state.commit(records);
    System.out.println("measured: " + count + " live bitmaps of 16 TiB made: " + since(start));
    List<String> ends = List.of("kill", "clean stop", "clean stop");
    for (String end : ends) {
      long before = total(state, records);
      start = System.nanoTime();
      if (end.equals("kill")) {
        state.close();
      } else {
        state.closeClean(records);
      }
      String closing = since(start);
      start = System.nanoTime();
      state = open(workers);
      String opening = since(start);
      start = System.nanoTime();
      assertEquals(before, total(state, records));
      System.out.println(
          "measured: "
              + end
              + ": closed in "
              + closing
              + ", opened in "
              + opening
              + ", read as sets in "
              + since(start));
      assertEquals("", state.finding());
    }
    state.close();
    workers.shutdown();
    assertTrue(workers.awaitTermination(1, TimeUnit.MINUTES));
  }

  private static long total(FileDiskState state, List<BitmapRecord> records) throws IOException {
    long total = 0;
    for (BitmapRecord each : records) {
      total += state.open(each).bits().toSet().dirtyBytes();
    }
    return total;
  }

  @Test
  void firstWriteIntoARegionCostsAtMostOneForce() throws Exception {
    ExecutorService workers = Executors.newFixedThreadPool(2);
    FileDiskState state = open(workers);
    BitArray bits = state.create(GRANULE_BYTES).bits();
    long[] nanos = new long[REGIONS];
    for (int i = 0; i < REGIONS; i++) {
      long offset = i * 3L * (256L << 20);
      long start = System.nanoTime();
      bits.mark(offset, 4096);
      CountDownLatch covered = new CountDownLatch(1);
      state.marks().whenCovered(offset, 4096, covered::countDown);
      covered.await();
      nanos[i] = System.nanoTime() - start;
    }
    Arrays.sort(nanos);
    assertTrue(state.marks().forces() <= REGIONS);
    System.out.printf(
        "measured: %d first writes: %d forces of the log; wait: median %.2f ms, 90 %% %.2f ms, most"
            + " %.2f ms%n",
        REGIONS,
        state.marks().forces(),
        nanos[REGIONS / 2] / 1e6,
        nanos[REGIONS * 9 / 10] / 1e6,
        nanos[REGIONS - 1] / 1e6);
    int writes = 5_000_000;
    long start = System.nanoTime();
    for (int i = 0; i < writes; i++) {
      long offset = (i * 7919L % 4096) * 65_536;
      bits.mark(offset, 4096);
      assertTrue(state.marks().covers(offset, 4096) || offset >= 256L << 20);
    }
    System.out.printf(
        "measured: mark and covers: %.1f ns%n", (System.nanoTime() - start) / (double) writes);
    state.close();
    workers.shutdown();
    assertTrue(workers.awaitTermination(1, TimeUnit.MINUTES));
    assertTrue(Files.exists(folder));
  }
}
