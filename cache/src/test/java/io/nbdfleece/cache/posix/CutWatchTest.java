// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What is remembered of a file that is cut. What is done to it is told to the watch, as whoever
/// does I/O would.
final class CutWatchTest {
  private static final long SIZE = 1 << 20;
  private static final long CUT = 4096;

  @TempDir Path directory;
  private LinuxFile file;
  private CutWatch watch;

  @BeforeEach
  void open() throws IOException {
    file = LinuxFile.create(directory.resolve("f"));
    file.truncate(SIZE);
    watch = CutWatch.of(file);
  }

  @AfterEach
  void close() throws IOException {
    file.close();
  }

  private void write(long startBytes, long endBytes) throws IOException {
    int cuts = watch.beforeWrite(0);
    file.truncate(Math.max(endBytes, file.sizeBytes()));
    watch.wrote(cuts, startBytes, endBytes);
  }

  @Test
  void writesLookOnceInAMillisecond() throws IOException {
    assertEquals(0, watch.beforeWrite(5));
    file.truncate(CUT);
    assertEquals(0, watch.beforeWrite(5 + CutWatch.LOOK_EVERY_NANOS - 1));
    assertFalse(watch.isLost(0, SIZE));
    assertEquals(1, watch.beforeWrite(5 + CutWatch.LOOK_EVERY_NANOS));
    assertTrue(watch.isLost(0, SIZE));
    assertFalse(watch.isLost(0, CUT));
    assertTrue(watch.isLost(CUT, CUT + 1));
  }

  @Test
  void writeThatTheCutFoundInTheMiddleMayBeGone() throws IOException {
    int cuts = watch.beforeWrite(0);
    file.truncate(CUT);
    watch.look();
    watch.wrote(cuts, CUT, 2 * CUT);
    assertTrue(watch.isLost(CUT, 2 * CUT));
  }

  /// A read that has met the end tells where, though the file has become longer meanwhile.
  @Test
  void whatAReadHasMetCounts() throws IOException {
    watch.metEnd(CUT);
    assertEquals(CUT, watch.lostFromBytes());
    write(CUT, SIZE / 2);
    watch.metEnd(2 * CUT); // older than the write
    assertFalse(watch.isLost(CUT, SIZE / 2));
    assertTrue(watch.isLost(CUT, SIZE / 2 + 1));
  }

  @Test
  void oneThatIsWholeIsLeftAlone() throws IOException {
    watch.look();
    write(CUT, SIZE + CUT);
    watch.look();
    assertFalse(watch.isLost(0, SIZE + CUT));
    assertTrue(watch.damage().isEmpty());
  }

  @Test
  void whatIsNotWatchedIsNeverLost() throws IOException {
    CutWatch none = CutWatch.none(file);
    file.truncate(CUT);
    none.look();
    none.metEnd(CUT);
    assertEquals(0, none.beforeWrite(0));
    none.requireKept(0, SIZE);
  }

  @Test
  void thereIsALimitOfPiecesBehindWhichNothingIsReadable() throws IOException {
    file.truncate(CUT);
    watch.look();
    int pieces = CutWatch.WRITTEN_RANGES_MAX + 10;
    file.truncate(CUT + 2L * pieces);
    int cuts = watch.beforeWrite(0);
    for (int i = 0; i < pieces; i++) {
      watch.wrote(cuts, CUT + 2L * i, CUT + 2L * i + 1);
    }
    watch.requireKept(CUT, CUT + 1);
    long last = CUT + 2L * pieces - 2;
    assertThrows(IOException.class, () -> watch.requireKept(last, last + 1));
  }

  @Test
  void rangesAreWhatAModelOfEachByteSays() throws IOException {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("CutWatchTest: -Dtest.seed=" + seed);
    SplittableRandom random = new SplittableRandom(seed);
    int size = 200;
    file.truncate(size);
    watch = CutWatch.of(file);
    BitSet kept = new BitSet();
    kept.set(0, size);
    boolean cutOnce = false;
    for (int step = 0; step < 2000; step++) {
      int start = random.nextInt(size);
      int end = start + 1 + random.nextInt(Math.min(20, size - start));
      if (random.nextInt(20) == 0) {
        file.truncate(start);
        watch.look();
        kept.clear(start, size);
        cutOnce = true;
      } else {
        write(start, end);
        kept.set(start, end);
      }
      if (cutOnce) {
        int from = random.nextInt(size);
        int to = from + 1 + random.nextInt(size - from);
        boolean lost = kept.nextClearBit(from) < to;
        assertEquals(lost, watch.isLost(from, to), "step " + step + ": " + from + "-" + to);
      }
    }
  }
}
