// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.cache.posix.ManualExecutor;
import io.nbdfleece.cache.posix.PosixException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// Whatever becomes of the bytes of the scratch file, an entry is read as it was written or not at
/// all. `-Dtest.flips=N` sets how many random damages are tried.
final class CorruptionTest {
  private static final int CLUSTER = 4096;
  private static final int ON_DISK = 4;

  private final Random random = new Random(1);
  private final PlainFile file = new PlainFile();
  private final ManualExecutor executor = new ManualExecutor();
  private final ByteBuffer whole = ByteBuffer.allocateDirect(CLUSTER);
  private final ByteBuffer part = ByteBuffer.allocateDirect(100);
  private final Map<Integer, byte[]> written = new HashMap<>();
  private final List<Integer> onDisk = new ArrayList<>();
  private final TieredStore store =
      new TieredStore(
          new StoreConfig(CLUSTER, 4L * CLUSTER, Path.of("/scratch"), 64L * CLUSTER),
          file,
          executor);

  /// A file in an array.
  private static final class PlainFile implements SlotFile {
    final byte[] bytes = new byte[64 * CLUSTER];
    int readsThatFail;

    @Override
    public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
      ByteBuffer file = ByteBuffer.wrap(bytes).position((int) offsetBytes);
      data.forEach(file::put);
      done.succeeded();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      if (readsThatFail > 0) {
        readsThatFail--;
        target.put(bytes, (int) offsetBytes, target.remaining() / 2); // and no more
        done.failed(new PosixException("read scratch", Errno.EIO));
        return;
      }
      target.put(bytes, (int) offsetBytes, target.remaining());
      done.succeeded();
    }

    @Override
    public void punch(long offsetBytes, long lengthBytes, Completion done) {
      done.succeeded();
    }

    @Override
    public void close() {}

    void flip(long bit) {
      bytes[(int) (bit >>> 3)] ^= (byte) (1 << (bit & 7));
    }
  }

  /// The end of a read that ends inside the call.
  private static final class Ended implements Completion {
    private int ends;
    private IOException error = new IOException("not ended");

    @Override
    public void succeeded() {
      ends++;
      error = new IOException("none");
    }

    @Override
    public void failed(IOException why) {
      ends++;
      error = why;
    }

    boolean isFine() {
      assertEquals(1, ends);
      return "none".equals(error.getMessage());
    }
  }

  @BeforeEach
  void spill() {
    while (onDisk.size() < ON_DISK) {
      store.acquire(
          1,
          new ClusterStore.SlotCompletion() {
            @Override
            public void acquired(List<ClusterStore.RamSlot> slots) {
              byte[] bytes = new byte[CLUSTER];
              random.nextBytes(bytes);
              slots.getFirst().buffer().clear().put(bytes);
              written.put(store.commit(slots.getFirst()), bytes);
            }

            @Override
            public void failed(IOException error) {
              throw new AssertionError(error);
            }
          });
      executor.runAll();
      onDisk.clear();
      written.keySet().stream()
          .filter(entry -> store.tierOf(entry) == ClusterStore.Tier.DISK)
          .limit(ON_DISK)
          .forEach(onDisk::add);
    }
    onDisk.forEach(store::pin);
  }

  @AfterEach
  void close() throws IOException {
    onDisk.forEach(store::unpin);
    store.release(written.keySet().stream().mapToInt(entry -> entry).toArray(), written.size());
    executor.runAll();
    assertEquals(0, store.statistics().ramBytes());
    assertEquals(0, store.statistics().diskBytes());
    store.close();
  }

  private Ended readWhole(int entry) {
    Ended ended = new Ended();
    store.read(entry, 0, whole.clear(), ended);
    return ended;
  }

  private Ended readPart(int entry) {
    Ended ended = new Ended();
    store.read(entry, 17, part.clear(), ended);
    return ended;
  }

  private void assertIntact(int entry) {
    byte[] bytes = written.getOrDefault(entry, new byte[0]);
    assertTrue(readWhole(entry).isFine());
    assertEquals(0, whole.remaining());
    byte[] got = new byte[CLUSTER];
    whole.get(0, got);
    assertArrayEquals(bytes, got);
    assertTrue(readPart(entry).isFine());
    byte[] gotPart = new byte[part.capacity()];
    part.get(0, gotPart);
    assertArrayEquals(Arrays.copyOfRange(bytes, 17, 17 + gotPart.length), gotPart);
  }

  private void assertLost(int entry, long bit) {
    Ended ended = readWhole(entry);
    assertTrue(
        !ended.isFine() && ended.error instanceof EntryLostException,
        () -> "damage unseen, entry " + entry + ", bit " + bit + ": " + ended.error);
  }

  @Test
  void everySingleFlippedBitIsSeenAndCostsThatEntryAlone() {
    int flips = 0;
    for (int entry : onDisk) {
      int other = onDisk.get((onDisk.indexOf(entry) + 1) % ON_DISK);
      for (long bit = 0; bit < CLUSTER * 8L; bit++) {
        file.flip((long) entry * CLUSTER * 8 + bit);
        assertLost(entry, bit);
        if (bit % 64 == 0) {
          assertTrue(readPart(entry).error instanceof EntryLostException, "of a part");
          assertIntact(other);
        }
        file.flip((long) entry * CLUSTER * 8 + bit);
        flips++;
      }
      assertIntact(entry);
    }
    System.out.println("CorruptionTest: single flipped bits, all seen: " + flips);
  }

  @Test
  void manyFlippedBitsAndRunsOfWrongBytesAreSeen() {
    int damages = Integer.getInteger("test.flips", 200_000);
    for (int i = 0; i < damages; i++) {
      int entry = onDisk.get(random.nextInt(ON_DISK));
      byte[] before = Arrays.copyOfRange(file.bytes, entry * CLUSTER, (entry + 1) * CLUSTER);
      if (random.nextBoolean()) {
        for (int count = 2 + random.nextInt(30); count > 0; count--) {
          file.flip((long) entry * CLUSTER * 8 + random.nextInt(CLUSTER * 8));
        }
      } else {
        int from = random.nextInt(CLUSTER);
        int to = from + 1 + random.nextInt(CLUSTER - from);
        byte[] wrong = new byte[to - from];
        random.nextBytes(wrong);
        System.arraycopy(wrong, 0, file.bytes, entry * CLUSTER + from, wrong.length);
      }
      boolean same =
          Arrays.equals(
              file.bytes,
              entry * CLUSTER,
              (entry + 1) * CLUSTER,
              written.getOrDefault(entry, before),
              0,
              CLUSTER);
      if (!same) {
        assertLost(entry, -1);
      }
      System.arraycopy(before, 0, file.bytes, entry * CLUSTER, CLUSTER);
    }
    onDisk.forEach(this::assertIntact);
    System.out.println("CorruptionTest: random damages, all seen: " + damages);
  }

  @Test
  void bytesOfAnotherEntryOrOfNobodyAreSeen() {
    int one = onDisk.get(0);
    int two = onDisk.get(1);
    byte[] ofOne = written.getOrDefault(one, new byte[0]);
    byte[] ofTwo = written.getOrDefault(two, new byte[0]);
    System.arraycopy(ofTwo, 0, file.bytes, one * CLUSTER, CLUSTER); // a misdirected write
    assertLost(one, -1);
    assertIntact(two);
    System.arraycopy(ofOne, 0, file.bytes, one * CLUSTER, CLUSTER);
    for (int from = 0; from < CLUSTER; from += 512) { // a sector that was never written
      Arrays.fill(file.bytes, one * CLUSTER + from, one * CLUSTER + from + 512, (byte) 0);
      assertLost(one, -1);
      System.arraycopy(ofOne, 0, file.bytes, one * CLUSTER, CLUSTER);
    }
    assertIntact(one);
  }

  @Test
  void readErrorThatPassesIsNoLoss() {
    file.readsThatFail = 1;
    assertTrue(readWhole(onDisk.get(0)).isFine());
    file.readsThatFail = 1;
    assertTrue(readPart(onDisk.get(0)).isFine());
    file.readsThatFail = 2;
    IOException lost = readWhole(onDisk.get(0)).error;
    assertTrue(lost instanceof EntryLostException, lost::toString);
    assertTrue(String.valueOf(lost.getMessage()).contains("EIO"), lost::toString);
    assertIntact(onDisk.get(0));
  }
}
