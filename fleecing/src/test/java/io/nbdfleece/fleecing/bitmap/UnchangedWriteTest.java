// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.FileNode;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.Mutation.Durability;
import io.nbdfleece.fleecing.block.Mutation.Provisioning;
import io.nbdfleece.fleecing.hook.Outcome;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Queue;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Writes that are marked only where they change something.
@Timeout(60)
final class UnchangedWriteTest {
  private static final int SIZE_BYTES = 100_000;

  @TempDir Path directory;

  private static TrackingNode.Tracks comparing(BitArray... arrays) {
    return new TrackingNode.Tracks(List.of(arrays), DurableMarks.NONE, true);
  }

  private static ByteBuffer direct(byte[] bytes) {
    return ByteBuffer.allocateDirect(bytes.length + 7)
        .put(5, bytes)
        .position(5)
        .limit(5 + bytes.length);
  }

  private static void write(BlockNode node, long offsetBytes, byte[] bytes) throws Exception {
    Outcome outcome = new Outcome();
    node.apply(
        new Mutation.Write(offsetBytes, direct(bytes).asReadOnlyBuffer(), Durability.CACHED),
        outcome);
    outcome.future().get(20, TimeUnit.SECONDS);
  }

  private static byte[] random(Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  @Test
  void onlyGranulesThatDifferAreMarked() throws Exception {
    Random random = new Random(SectorModel.seed("UnchangedWriteTest"));
    for (int round = 0; round < 200; round++) {
      byte[] content = random(random, 1 + random.nextInt(200_000));
      TestNode disk = new TestNode(content, Runnable::run);
      TrackingNode node = new TrackingNode(disk);
      int fine = SectorModel.randomGranularity(random, 14);
      HeapBitArray bits = new HeapBitArray(content.length, fine);
      HeapBitArray coarse = new HeapBitArray(content.length, fine * 8);
      node.track(comparing(coarse, bits));
      GranuleSet.Builder expected = GranuleSet.builder(content.length, fine);
      for (int i = 0; i < 5; i++) {
        int offset = random.nextInt(content.length);
        byte[] data =
            Arrays.copyOfRange(
                content, offset, offset + 1 + random.nextInt(content.length - offset));
        for (int changes = random.nextInt(4); changes > 0; changes--) {
          int at = random.nextInt(data.length);
          int length = 1 + random.nextInt(Math.min(data.length - at, 3000));
          for (int k = at; k < at + length; k++) {
            data[k]++;
          }
          expected.addRange(offset + at, length);
        }
        // Changed by at most 4 * 5 increments, so never back to what it was.
        write(node, offset, data);
        System.arraycopy(data, 0, content, offset, data.length);
      }
      GranuleSet set = expected.build();
      assertEquals(set, bits.toSet());
      assertEquals(set.withGranularity(fine * 8), coarse.toSet());
      assertArrayEquals(content, disk.content());
    }
  }

  @Test
  void whatCannotBeReadIsMarkedAsAWholeAndWritten() throws Exception {
    TestNode disk = new TestNode(new byte[100_000], Runnable::run);
    disk.readsFail = true;
    TrackingNode node = new TrackingNode(disk);
    HeapBitArray bits = new HeapBitArray(100_000, 512);
    node.track(comparing(bits));
    write(node, 512, new byte[1024]);
    assertEquals(1024, bits.dirtyBytes());
  }

  @Test
  void longWritesAreNotCompared() throws Exception {
    TestNode disk = new TestNode(new byte[3 << 20], Runnable::run);
    TrackingNode node = new TrackingNode(disk);
    HeapBitArray bits = new HeapBitArray(3 << 20, 4096);
    node.track(comparing(bits));
    write(node, 0, new byte[1 << 20]);
    assertEquals(0, bits.dirtyBytes());
    write(node, 0, new byte[(1 << 20) + 1]);
    assertEquals((1 << 20) + 4096, bits.dirtyBytes());
  }

  @Test
  void zeroesOverZeroesAreMarked() throws Exception {
    TrackingNode node = new TrackingNode(new TestNode(new byte[4096], Runnable::run));
    HeapBitArray bits = new HeapBitArray(4096, 512);
    node.track(comparing(bits));
    Outcome outcome = new Outcome();
    node.apply(new Mutation.Zero(0, 512, Provisioning.MAY_PUNCH, Durability.CACHED), outcome);
    outcome.future().get(20, TimeUnit.SECONDS);
    assertEquals(512, bits.dirtyBytes());
  }

  private static final DurableMarks THROWING_LOG =
      new DurableMarks() {
        @Override
        public boolean covers(long offsetBytes, long lengthBytes) {
          throw new IllegalStateException("thrown by the log");
        }

        @Override
        public void whenCovered(long offsetBytes, long lengthBytes, Runnable then) {
          throw new AssertionError("not asked here");
        }
      };

  /// On the thread that has read what the disk holds nobody else would end the write.
  @Test
  void whatIsThrownAfterTheOldContentWasReadFailsTheWriteAndGivesItsBufferBack() {
    BitArray tooSmall = new HeapBitArray(512, 512);
    BitArray bits = new HeapBitArray(SIZE_BYTES, 512);
    checkThrownLater(comparing(tooSmall), "out of bounds");
    checkThrownLater(new TrackingNode.Tracks(List.of(bits), THROWING_LOG, true), "by the log");
  }

  private static void checkThrownLater(TrackingNode.Tracks tracks, String text) {
    for (boolean readsFail : new boolean[] {false, true}) {
      Queue<Runnable> tasks = new ArrayDeque<>();
      TestNode disk = new TestNode(new byte[SIZE_BYTES], tasks::add);
      disk.readsFail = readsFail;
      CompareBuffers buffers = new CompareBuffers();
      ByteBuffer old = buffers.take(1).orElseThrow();
      Mutation.Write write =
          new Mutation.Write(SIZE_BYTES - 1, direct(new byte[] {1}), Durability.CACHED);
      Outcome outcome = new Outcome();
      new ComparedWrite(tracks, disk, buffers, write, old, outcome).start();
      tasks.remove().run();
      TrackingNodeTest.assertInternalError(outcome, text);
      assertEquals(0, buffers.usedBytes());
    }
  }

  @Test
  void buffersAreFewAndComeBack() {
    CompareBuffers buffers = new CompareBuffers();
    List<ByteBuffer> taken = new ArrayList<>();
    while (true) {
      var buffer = buffers.take(CompareBuffers.LENGTH_BYTES_MAX);
      if (buffer.isEmpty()) {
        break;
      }
      taken.add(buffer.get());
    }
    assertEquals(32, taken.size());
    taken.forEach(buffers::give);
    assertEquals(0, buffers.usedBytes());
    assertEquals(4 << 20, buffers.idleBytes());
    for (int length : new int[] {1, 4095, 4096, 4097, 65_536, 65_537, 1 << 20}) {
      ByteBuffer buffer = buffers.take(length).orElseThrow();
      assertEquals(length, buffer.remaining());
      buffers.give(buffer);
    }
    assertEquals(0, buffers.usedBytes());
    assertTrue(buffers.idleBytes() <= 4 << 20);
    buffers.drop();
    assertEquals(0, buffers.idleBytes());
  }

  /// Many writes of few values to few places at once: they often change nothing, and often undo one
  /// another. Whatever was ever anything else than at the beginning must be marked.
  @Test
  void concurrentOverlappingWritesLeaveNoChangeUnmarked() throws Exception {
    long seed = SectorModel.seed("UnchangedWriteTest.concurrent");
    try (IoWorkers workers = new IoWorkers("test-io", 6)) {
      TestNode disk = new TestNode(new byte[16_000], workers);
      TrackingNode node = new TrackingNode(disk);
      for (int round = 0; round < 400; round++) {
        HeapBitArray bits = new HeapBitArray(disk.sizeBytes(), 512);
        disk.beginAgain();
        node.track(comparing(bits));
        runAtOnce(node, new Random(seed + round), 12);
        GranuleSet marked = bits.toSet();
        BitSet changed = disk.everChanged();
        for (int at = changed.nextSetBit(0); at >= 0; at = changed.nextSetBit(at + 1)) {
          assertTrue(marked.isDirty(at), "round " + round + ": byte " + at + " is not marked");
        }
      }
    }
  }

  @Test
  void concurrentOverlappingWritesOfARealFileLeaveNoChangeUnmarked() throws Exception {
    long seed = SectorModel.seed("UnchangedWriteTest.file");
    Path image = directory.resolve("disk");
    Files.write(image, new byte[16_000]);
    try (IoWorkers workers = new IoWorkers("test-io", 4);
        TrackingNode node =
            new TrackingNode(FileNode.open(image, LinuxFile.Access.READ_WRITE, workers))) {
      for (int round = 0; round < 300; round++) {
        byte[] before = Files.readAllBytes(image);
        HeapBitArray bits = new HeapBitArray(before.length, 512);
        node.track(comparing(bits));
        try (IoWorkers callers = new IoWorkers("test-guest", 3)) {
          List<Outcome> ends = new ArrayList<>();
          for (int caller = 0; caller < 3; caller++) {
            Random random = new Random(seed + round * 10L + caller);
            Outcome end = new Outcome();
            ends.add(end);
            callers.execute(() -> finish(end, () -> runAtOnce(node, random, 8)));
          }
          for (Outcome end : ends) {
            end.future().get(20, TimeUnit.SECONDS);
          }
        }
        byte[] after = Files.readAllBytes(image);
        GranuleSet marked = bits.toSet();
        for (int at = 0; at < before.length; at++) {
          assertTrue(
              before[at] == after[at] || marked.isDirty(at), "round " + round + ": byte " + at);
        }
      }
    }
  }

  private interface Work {
    void run() throws Exception;
  }

  private static void finish(Outcome end, Work work) {
    try {
      work.run();
      end.succeeded();
    } catch (Exception e) {
      end.future().completeExceptionally(e);
    }
  }

  private static void runAtOnce(BlockNode node, Random random, int count) throws Exception {
    List<Outcome> outcomes = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Outcome outcome = new Outcome();
      outcomes.add(outcome);
      int offset = random.nextInt((int) node.sizeBytes());
      int length = 1 + random.nextInt((int) Math.min(6000, node.sizeBytes() - offset));
      if (random.nextInt(20) == 0) {
        node.apply(new Mutation.Discard(offset, length, Durability.CACHED), outcome);
      } else {
        byte[] data = new byte[length];
        Arrays.fill(data, (byte) random.nextInt(2));
        node.apply(new Mutation.Write(offset, direct(data), Durability.CACHED), outcome);
      }
    }
    for (Outcome outcome : outcomes) {
      outcome.future().get(20, TimeUnit.SECONDS);
    }
  }
}
