// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.hook.Outcome;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class FileNodeTest {
  @TempDir Path directory;
  private final IoWorkers workers = new IoWorkers("test-io", 4);

  @AfterEach
  void closeWorkers() {
    workers.close();
  }

  private Path image(long sizeBytes) throws IOException {
    Path image = directory.resolve("disk.img");
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
    return image;
  }

  private FileNode open(Path image) throws IOException {
    return FileNode.open(image, LinuxFile.Access.READ_WRITE, workers);
  }

  private static void await(Consumer<Outcome> operation) throws Exception {
    Outcome outcome = new Outcome();
    operation.accept(outcome);
    outcome.future().get(10, TimeUnit.SECONDS);
  }

  private static ByteBuffer filled(int lengthBytes, int value) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(lengthBytes);
    for (int i = 0; i < lengthBytes; i++) {
      buffer.put(i, (byte) value);
    }
    return buffer;
  }

  private static void write(FileNode node, long offsetBytes, int lengthBytes, int value)
      throws Exception {
    await(
        done ->
            node.apply(
                new Mutation.Write(
                    offsetBytes, filled(lengthBytes, value), Mutation.Durability.CACHED),
                done));
  }

  @Test
  void whatIsWrittenIsReadBackAtAnOddSize() throws Exception {
    try (FileNode node = open(image(100_301))) {
      write(node, 100_000, 301, 7);
      ByteBuffer read = ByteBuffer.allocateDirect(301);
      await(done -> node.read(100_000, read, done));
      byte[] bytes = new byte[301];
      read.get(0, bytes);
      byte[] expected = new byte[301];
      java.util.Arrays.fill(expected, (byte) 7);
      assertArrayEquals(expected, bytes);
      assertEquals(100_301, node.sizeBytes());
    }
  }

  @Test
  void discardFreesSpaceAndReadsAsZeroes() throws Exception {
    Path image = image(8 << 20);
    try (FileNode node = open(image)) {
      write(node, 0, 4 << 20, 9);
      await(node::flush);
      long before = allocatedBytes(image);
      await(
          done ->
              node.apply(
                  new Mutation.Discard(1 << 20, 2 << 20, Mutation.Durability.DURABLE), done));
      assertTrue(allocatedBytes(image) <= before - (2 << 20), "no space was freed");
      assertEquals(
          List.of(
              new BlockExtent(1 << 20, BlockExtent.State.DATA),
              new BlockExtent(2 << 20, BlockExtent.State.HOLE),
              new BlockExtent(1 << 20, BlockExtent.State.DATA),
              new BlockExtent(4 << 20, BlockExtent.State.HOLE)),
          BlockStatus.of(node, 0, 8 << 20));
    }
  }

  private static long allocatedBytes(Path image) throws IOException {
    Process stat =
        new ProcessBuilder("stat", "-c", "%b", image.toString()).redirectErrorStream(true).start();
    return Long.parseLong(
            new String(
                    stat.getInputStream().readAllBytes(),
                    java.nio.charset.StandardCharsets.US_ASCII)
                .trim())
        * 512;
  }

  @Test
  void zeroingMayKeepTheSpace() throws Exception {
    Path image = image(4 << 20);
    try (FileNode node = open(image)) {
      write(node, 0, 4 << 20, 9);
      await(
          done ->
              node.apply(
                  new Mutation.Zero(
                      100, 1 << 20, Mutation.Provisioning.KEEP, Mutation.Durability.CACHED),
                  done));
      ByteBuffer read = ByteBuffer.allocateDirect((1 << 20) + 200);
      await(done -> node.read(0, read, done));
      assertEquals(9, read.get(99));
      assertEquals(0, read.get(100));
      assertEquals(0, read.get(100 + (1 << 20) - 1));
      assertEquals(9, read.get(100 + (1 << 20)));
    }
  }

  @Test
  void fastZeroingPunchesAndZeroesInOneCallOrChangesNothing() throws Exception {
    Path image = image(4 << 20);
    try (FileNode node = open(image)) {
      write(node, 0, 4 << 20, 9);
      for (Mutation.Provisioning provisioning : Mutation.Provisioning.values()) {
        long offsetBytes = 100 + (provisioning == Mutation.Provisioning.KEEP ? 2L << 20 : 0);
        int expected = 0;
        try {
          await(
              done ->
                  node.apply(
                      new Mutation.Zero(
                          offsetBytes,
                          1 << 20,
                          provisioning,
                          Mutation.Speed.FAST_ONLY,
                          Mutation.Durability.CACHED),
                      done));
        } catch (java.util.concurrent.ExecutionException e) {
          assertTrue(e.getCause() instanceof NotFastException, () -> "not fast: " + e);
          expected = 9;
        }
        ByteBuffer read = ByteBuffer.allocateDirect((1 << 20) + 200);
        await(done -> node.read(offsetBytes - 100, read, done));
        assertEquals(9, read.get(99));
        assertEquals(expected, read.get(100));
        assertEquals(expected, read.get(100 + (1 << 20) - 1));
        assertEquals(9, read.get(100 + (1 << 20)));
      }
      assertTrue(node.abilities().contains(NodeAbility.FAST_ZERO));
    }
  }

  @Test
  void hintIsTakenForAnyRange() throws Exception {
    try (FileNode node = open(image(1L << 40))) {
      await(done -> node.cache(0, 1L << 40, done));
      await(done -> node.cache((1L << 40) - 1, 1, done));
    }
  }

  @Test
  void aHintMeetingAnotherTakesNoWorker() throws Exception {
    Queue<Runnable> waiting = new ArrayDeque<>();
    try (LinuxFile file = LinuxFile.open(image(1 << 20), LinuxFile.Access.READ_ONLY)) {
      Assumptions.assumeFalse(file.neverWaits(), "the temporary directory is in memory");
    }
    try (FileNode node = FileNode.open(image(1 << 20), LinuxFile.Access.READ_WRITE, waiting::add)) {
      for (int i = 0; i < 2; i++) {
        Outcome first = new Outcome();
        node.cache(0, 1 << 20, first);
        await(done -> node.cache(0, 1 << 20, done));
        assertEquals(1, waiting.size());
        waiting.remove().run();
        first.future().get(10, TimeUnit.SECONDS);
      }
    }
  }

  @Test
  void secondOpenIsRefused() throws Exception {
    Path image = image(1 << 20);
    try (FileNode node = open(image)) {
      assertEquals(1 << 20, node.sizeBytes());
      ImageInUseException refused = assertThrows(ImageInUseException.class, () -> open(image));
      assertTrue(String.valueOf(refused.getMessage()).contains(image.toString()));
    }
    open(image).close();
  }

  @Test
  void directoryIsNoDisk() throws Exception {
    Path other = Files.createDirectory(directory.resolve("sub"));
    IOException refused = assertThrows(IOException.class, () -> open(other));
    assertTrue(String.valueOf(refused.getMessage()).contains(other.toString()));
  }

  /// Nobody may write this one, root neither.
  @Test
  void whatMayNotBeWrittenCanBeServedReadOnly() {
    Path readOnly = Path.of("/sys/kernel/uevent_seqnum");
    IOException refused = assertThrows(IOException.class, () -> open(readOnly));
    String message = String.valueOf(refused.getMessage());
    assertTrue(
        message.endsWith(": let our user read and write it, or serve it with --read-only"),
        message);
  }

  @Test
  void missingFileIsNamed() {
    Path missing = directory.resolve("missing.img");
    IOException refused = assertThrows(IOException.class, () -> open(missing));
    assertTrue(String.valueOf(refused.getMessage()).contains("missing.img"));
  }
}
