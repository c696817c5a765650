// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.Mutation.Durability;
import io.nbdfleece.fleecing.block.Mutation.Provisioning;
import io.nbdfleece.fleecing.hook.Outcome;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class TrackingNodeTest {
  private static final int SIZE_BYTES = 1_000_003;

  @TempDir Path directory;

  private static Mutation.Write write(long offsetBytes, int lengthBytes) {
    ByteBuffer data = ByteBuffer.allocateDirect(lengthBytes);
    for (int i = 0; i < lengthBytes; i++) {
      data.put(i, (byte) 1);
    }
    return new Mutation.Write(offsetBytes, data, Durability.CACHED);
  }

  private static TrackingNode.Tracks tracks(BitArray... arrays) {
    return new TrackingNode.Tracks(List.of(arrays), DurableMarks.NONE, false);
  }

  private static void apply(BlockNode node, Mutation mutation) throws Exception {
    Outcome outcome = new Outcome();
    node.apply(mutation, outcome);
    outcome.future().get(20, TimeUnit.SECONDS);
  }

  private static TestNode inline() {
    return new TestNode(new byte[SIZE_BYTES], Runnable::run);
  }

  private static GranuleSet set(int granularityBytes, long offsetBytes, long lengthBytes) {
    return GranuleSet.builder(SIZE_BYTES, granularityBytes)
        .addRange(offsetBytes, lengthBytes)
        .build();
  }

  @Test
  void everyKindOfChangeIsMarkedInEveryArray() throws Exception {
    List<Mutation> changes =
        List.of(
            write(70_000, 5000),
            new Mutation.Zero(70_000, 5000, Provisioning.KEEP, Durability.CACHED),
            new Mutation.Discard(70_000, 5000, Durability.CACHED));
    for (Mutation change : changes) {
      TrackingNode node = new TrackingNode(inline());
      HeapBitArray fine = new HeapBitArray(SIZE_BYTES, 512);
      HeapBitArray coarse = new HeapBitArray(SIZE_BYTES, 65_536);
      node.track(tracks(fine, coarse));
      apply(node, change);
      assertEquals(set(512, 70_000, 5000), fine.toSet());
      assertEquals(set(65_536, 70_000, 5000), coarse.toSet());
    }
  }

  @Test
  void marksAreSetBeforeTheDiskChanges() throws Exception {
    for (boolean skipUnchanged : new boolean[] {false, true}) {
      TestNode disk = inline();
      TrackingNode node = new TrackingNode(disk);
      HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
      node.track(new TrackingNode.Tracks(List.of(bits), DurableMarks.NONE, skipUnchanged));
      List<GranuleSet> seen = new ArrayList<>();
      disk.beforeChange = () -> seen.add(bits.toSet());
      apply(node, write(1000, 100));
      assertEquals(List.of(set(512, 1000, 100)), seen);
    }
  }

  @Test
  void aDiskThatIsSlowHasItsMarksMeanwhile() throws Exception {
    try (IoWorkers workers = new IoWorkers("test-io", 1)) {
      TestNode disk = new TestNode(new byte[SIZE_BYTES], workers);
      CountDownLatch mayChange = new CountDownLatch(1);
      disk.beforeChange = () -> awaitQuietly(mayChange);
      TrackingNode node = new TrackingNode(disk);
      HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
      node.track(tracks(bits));
      Outcome outcome = new Outcome();
      node.apply(write(0, 1), outcome);
      assertEquals(set(512, 0, 1), bits.toSet());
      assertFalse(outcome.future().isDone());
      mayChange.countDown();
      outcome.future().get(20, TimeUnit.SECONDS);
    }
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /// Covers nothing until it is told to.
  private static final class SlowLog implements DurableMarks {
    final List<Runnable> waiting = new ArrayList<>();
    final List<Long> asked = new ArrayList<>();
    final BitArray bits;

    SlowLog(BitArray bits) {
      this.bits = bits;
    }

    @Override
    public boolean covers(long offsetBytes, long lengthBytes) {
      asked.add(bits.dirtyBytes());
      return false;
    }

    @Override
    public void whenCovered(long offsetBytes, long lengthBytes, Runnable then) {
      waiting.add(then);
    }
  }

  @Test
  void whatIsNotCoveredWaitsWithItsMarksSet() {
    TestNode disk = inline();
    TrackingNode node = new TrackingNode(disk);
    HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
    SlowLog log = new SlowLog(bits);
    node.track(new TrackingNode.Tracks(List.of(bits), log, false));
    Outcome outcome = new Outcome();
    ByteBuffer data = ByteBuffer.allocateDirect(1).put(0, (byte) 9);
    node.apply(new Mutation.Write(0, data, Durability.CACHED), outcome);
    assertEquals(List.of(512L), log.asked, "marked before the log is asked");
    assertEquals(0, disk.content()[0]);
    assertFalse(outcome.future().isDone());
    log.waiting.removeFirst().run();
    assertTrue(outcome.future().isDone());
    assertEquals(9, disk.content()[0]);
  }

  @Test
  void whatIsThrownAfterTheLogWasAwaitedFailsTheWrite() {
    TestNode disk = inline();
    disk.beforeChange =
        () -> {
          throw new IllegalStateException("thrown by the disk");
        };
    TrackingNode node = new TrackingNode(disk);
    HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
    SlowLog log = new SlowLog(bits);
    node.track(new TrackingNode.Tracks(List.of(bits), log, false));
    Outcome outcome = new Outcome();
    node.apply(write(0, 1), outcome);
    log.waiting.removeFirst().run();
    assertInternalError(outcome, "thrown by the disk");
  }

  /// Else it would end twice.
  @Test
  void whatIsThrownByWhoWasToldOfTheEndIsThrown() {
    TrackingNode node = new TrackingNode(inline());
    HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
    SlowLog log = new SlowLog(bits);
    node.track(new TrackingNode.Tracks(List.of(bits), log, false));
    int[] ends = {0};
    node.apply(
        write(0, 1),
        new Completion() {
          @Override
          public void succeeded() {
            ends[0]++;
            throw new IllegalStateException("thrown by the guest's side");
          }

          @Override
          public void failed(IOException error) {
            ends[0]++;
          }
        });
    assertThrows(IllegalStateException.class, log.waiting.removeFirst()::run);
    assertEquals(1, ends[0]);
  }

  static void assertInternalError(Outcome outcome, String text) {
    assertTrue(outcome.future().isCompletedExceptionally(), "it has ended");
    Throwable error = outcome.future().exceptionNow();
    assertInstanceOf(IOException.class, error);
    assertTrue(error.toString().contains("internal error: "), error::toString);
    assertTrue(error.toString().contains(text), error::toString);
  }

  @Test
  void whatChangesNothingWaitsForTheLogToo() {
    TrackingNode node = new TrackingNode(inline());
    HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
    SlowLog log = new SlowLog(bits);
    node.track(new TrackingNode.Tracks(List.of(bits), log, true));
    Outcome outcome = new Outcome();
    node.apply(new Mutation.Write(0, ByteBuffer.allocateDirect(512), Durability.CACHED), outcome);
    assertFalse(outcome.future().isDone());
    log.waiting.removeFirst().run();
    assertTrue(outcome.future().isDone());
    assertEquals(0, bits.dirtyBytes());
  }

  @Test
  void nothingIsMarkedAnyMoreWhenNothingIsTracked() throws Exception {
    TrackingNode node = new TrackingNode(inline());
    HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 512);
    node.track(tracks(bits));
    node.track(TrackingNode.Tracks.NONE);
    assertSame(TrackingNode.Tracks.NONE, node.tracks());
    apply(node, write(0, 1));
    assertEquals(0, bits.dirtyBytes());
  }

  @Test
  void aRealFileIsMarkedWhereItWasChanged() throws Exception {
    Random random = new Random(SectorModel.seed("TrackingNodeTest"));
    Path image = directory.resolve("disk");
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(SIZE_BYTES);
    }
    try (IoWorkers workers = new IoWorkers("test-io", 2);
        TrackingNode node =
            new TrackingNode(FileNode.open(image, LinuxFile.Access.READ_WRITE, workers))) {
      HeapBitArray bits = new HeapBitArray(SIZE_BYTES, 4096);
      SectorModel model = new SectorModel(SIZE_BYTES, 4096);
      node.track(tracks(bits));
      for (int i = 0; i < 100; i++) {
        long offset = random.nextLong(SIZE_BYTES);
        int length = 1 + random.nextInt((int) Math.min(20_000, SIZE_BYTES - offset));
        apply(
            node,
            switch (random.nextInt(3)) {
              case 0 -> write(offset, length);
              case 1 ->
                  new Mutation.Zero(offset, length, Provisioning.MAY_PUNCH, Durability.CACHED);
              default -> new Mutation.Discard(offset, length, Durability.CACHED);
            });
        model.add(offset, length);
      }
      model.check(bits.toSet(), random);
    }
  }
}
