// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import io.nbdfleece.fleecing.state.BitmapRecord;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/// What a kill, and what a power failure, at this moment would leave of a disk and its state: each
/// checkpoint that stands must know of every sector in which the disk then differs from what was
/// copied when the checkpoint was made.
///
/// After a kill the disk and the marks are as they are. After a power failure each sector may be
/// what it was when the disk was last synced, and marks are those that were forced and the regions
/// that the log names.
///
/// **Threads.** [#look] and [#synced] by one at a time.
final class CrashImages {
  private static final int SECTOR_BYTES = 512;

  private final Random random;
  private final Path disk;

  /// What was copied when the checkpoint of that name was made.
  private final Map<String, byte[]> copies = new ConcurrentHashMap<>();

  private byte[] durable;
  private volatile Optional<AssertionError> failure = Optional.empty();
  private final AtomicInteger looks = new AtomicInteger();

  CrashImages(Random random, Path disk) throws IOException {
    this.random = random;
    this.disk = disk;
    this.durable = Files.readAllBytes(disk);
  }

  /// A checkpoint that may stand from now on.
  void copied(String checkpoint, byte[] content) {
    copies.put(checkpoint, content.clone());
  }

  /// The disk's content is on stable storage.
  void synced() {
    durable = content();
  }

  int looks() {
    return looks.get();
  }

  /// Fails if any look did.
  void check() {
    failure.ifPresent(
        error -> {
          throw new AssertionError("what would be left is not enough", error);
        });
  }

  private byte[] content() {
    try {
      return Files.readAllBytes(disk);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void look(MemoryStates.Stored stored) {
    looks.incrementAndGet();
    byte[] now = content(); // first: what is seen of it has been marked, and logged, before
    byte[] torn = now.clone();
    for (int at = 0; at < torn.length; at += SECTOR_BYTES) {
      if (random.nextBoolean()) {
        System.arraycopy(durable, at, torn, at, Math.min(SECTOR_BYTES, torn.length - at));
      }
    }
    try {
      synchronized (stored) {
        List<BitmapRecord> list = stored.decided ? stored.next.orElseThrow() : stored.list;
        GranuleSet logged = stored.log.marked(now.length);
        BitSet afterKill = new BitSet();
        BitSet afterPowerFailure = sectors(logged);
        for (BitmapRecord record : list.reversed()) {
          if (record.checkpoint() && !record.inconsistent()) {
            Object file = Optional.ofNullable(stored.files.get(record.content())).orElseThrow();
            afterKill.or(sectors(marks(file)));
            afterPowerFailure.or(
                sectors(stored.forced.getOrDefault(record.content(), marks(file))));
            byte[] copy = copies.get(record.name());
            if (copy != null && record.pendingSnapshot().isEmpty()) {
              require(copy, now, afterKill, record.name() + ", after a kill");
              require(copy, torn, afterPowerFailure, record.name() + ", after a power failure");
            }
          }
        }
      }
    } catch (AssertionError e) {
      failure = Optional.of(e);
    }
  }

  private static GranuleSet marks(Object file) {
    return file instanceof HeapBitArray live ? live.toSet() : (GranuleSet) file;
  }

  private static BitSet sectors(GranuleSet set) {
    BitSet sectors = new BitSet();
    set.forEachRange(
        (offset, length) ->
            sectors.set(
                (int) (offset / SECTOR_BYTES),
                (int) Math.ceilDiv(offset + length, (long) SECTOR_BYTES)));
    return sectors;
  }

  private static void require(byte[] copy, byte[] left, BitSet dirty, String what) {
    for (int at = 0; at < left.length; at += SECTOR_BYTES) {
      int end = Math.min(left.length, at + SECTOR_BYTES);
      if (!dirty.get(at / SECTOR_BYTES) && !Arrays.equals(copy, at, end, left, at, end)) {
        throw new AssertionError("since checkpoint " + what + ": byte " + at + " is not marked");
      }
    }
  }
}
