// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.hook.Outcome;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// The status of a file that changes: mostly known without asking the file system, and never older
/// than a change that has ended.
@Timeout(60)
final class FileStatusTest {
  private static final long LARGE = 1L << 40;
  private static final int PIECE = 128 << 20;
  private static final int BLOCK = 4096;

  @TempDir Path directory;
  private final IoWorkers workers = new IoWorkers("test-io", 4);
  private final AtomicInteger workerCalls = new AtomicInteger();

  @AfterEach
  void closeWorkers() {
    workers.close();
  }

  private FileNode open(long sizeBytes) throws IOException {
    Path image = directory.resolve("disk.img");
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(sizeBytes);
    }
    return open(image, LinuxFile.Access.READ_WRITE);
  }

  private FileNode open(Path image, LinuxFile.Access access) throws IOException {
    return FileNode.open(
        image,
        access,
        task -> {
          workerCalls.incrementAndGet();
          workers.execute(task);
        });
  }

  private static void apply(FileNode node, Mutation mutation) throws Exception {
    Outcome outcome = new Outcome();
    node.apply(mutation, outcome);
    outcome.future().get(30, TimeUnit.SECONDS);
  }

  private static Mutation.Write write(long offsetBytes, Mutation.Durability durability) {
    ByteBuffer data = ByteBuffer.allocateDirect(BLOCK);
    while (data.hasRemaining()) {
      data.put((byte) 7);
    }
    return new Mutation.Write(offsetBytes, data.flip(), durability);
  }

  private static List<BlockExtent> one(long lengthBytes, State state) {
    return List.of(new BlockExtent(lengthBytes, state));
  }

  @Test
  void theFileSystemIsAskedOnceForALargeExtent() throws IOException {
    try (FileNode node = open(LARGE)) {
      assertEquals(one(PIECE, State.HOLE), BlockStatus.of(node, 0, PIECE));
      assertEquals(1, workerCalls.get());
      for (long at = PIECE; at < 1000L * PIECE; at += PIECE) {
        assertEquals(one(PIECE, State.HOLE), BlockStatus.of(node, at, PIECE));
      }
      assertEquals(one(LARGE - 1, State.HOLE), BlockStatus.of(node, 1, LARGE - 1, 1));
      int calls = workerCalls.get();
      assertTrue(calls <= 10, "one a second is right: " + calls);
    }
  }

  @Test
  void anAnswerIsShortOnlyWhenOneExtentIsWanted() throws Exception {
    try (FileNode node = open(LARGE)) {
      apply(node, write(PIECE, Mutation.Durability.CACHED));
      for (int i = 0; i < 3; i++) {
        assertEquals(one(PIECE, State.HOLE), BlockStatus.of(node, 0, 2L * PIECE, 1));
        assertEquals(
            List.of(
                new BlockExtent(PIECE, State.HOLE),
                new BlockExtent(BLOCK, State.DATA),
                new BlockExtent(PIECE - BLOCK, State.HOLE)),
            BlockStatus.of(node, 0, 2L * PIECE));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Mutation.Durability.class)
  void whatIsWrittenIsNoHoleAnyMore(Mutation.Durability durability) throws Exception {
    try (FileNode node = open(LARGE)) {
      for (int i = 0; i < 50; i++) {
        assertEquals(one(BLOCK, State.HOLE), BlockStatus.of(node, (long) i * PIECE, BLOCK));
        apply(node, write((long) i * PIECE, durability));
        assertEquals(one(BLOCK, State.DATA), BlockStatus.of(node, (long) i * PIECE, BLOCK));
      }
    }
  }

  @Test
  void whatIsPunchedIsNoDataAnyMore() throws Exception {
    try (FileNode node = open(LARGE)) {
      for (int i = 0; i < 2 * 16; i++) {
        apply(node, write((long) i * BLOCK, Mutation.Durability.CACHED));
      }
      for (int i = 0; i < 16; i++) {
        long at = 2L * i * BLOCK;
        assertEquals(one(BLOCK, State.DATA), BlockStatus.of(node, at, BLOCK));
        apply(
            node,
            i % 2 == 0
                ? new Mutation.Discard(at, BLOCK, Mutation.Durability.CACHED)
                : new Mutation.Zero(
                    at, BLOCK, Mutation.Provisioning.MAY_PUNCH, Mutation.Durability.DURABLE));
        assertEquals(one(BLOCK, State.HOLE), BlockStatus.of(node, at, BLOCK));
      }
    }
  }

  /// The lock lets readers beside a writer. What that one has written is no hole for them, either.
  @Test
  void whatAnotherProgramWritesIsNoHoleForAReader() throws Exception {
    try (FileNode writer = open(LARGE);
        FileNode reader = open(directory.resolve("disk.img"), LinuxFile.Access.READ_ONLY)) {
      for (int i = 0; i < 50; i++) {
        long at = (long) i * PIECE;
        assertEquals(one(BLOCK, State.HOLE), BlockStatus.of(reader, at, BLOCK, 100));
        apply(writer, write(at, Mutation.Durability.CACHED));
        assertEquals(one(BLOCK, State.DATA), BlockStatus.of(reader, at, BLOCK, 100));
      }
    }
  }

  /// Two write and punch, each its own blocks, and look at once whether that is what they are told;
  /// two others ask for everything, so that there is always something known that is about to be
  /// wrong.
  @Test
  void noStatusIsOlderThanAChangeThatHasEnded() throws Exception {
    int blocks = 512;
    AtomicBoolean over = new AtomicBoolean();
    List<CompletableFuture<Void>> askers = new ArrayList<>();
    List<CompletableFuture<Void>> changers = new ArrayList<>();
    try (FileNode node = open((long) blocks * BLOCK)) {
      for (int i = 0; i < 2; i++) {
        int number = i;
        askers.add(run("asker", () -> askForAll(node, blocks, number, over)));
        changers.add(run("changer", () -> changeOwn(node, blocks, number)));
      }
      try {
        for (CompletableFuture<Void> changer : changers) {
          var _ = changer.get(50, TimeUnit.SECONDS);
        }
      } finally {
        over.set(true);
        for (CompletableFuture<Void> asker : askers) {
          var _ = asker.get(30, TimeUnit.SECONDS);
        }
      }
    }
  }

  private interface Body {
    void run() throws Exception;
  }

  private static CompletableFuture<Void> run(String name, Body body) {
    CompletableFuture<Void> ended = new CompletableFuture<>();
    Thread.ofPlatform()
        .name(name)
        .start(
            () -> {
              try {
                body.run();
                ended.complete(null);
              } catch (Exception | AssertionError e) {
                ended.completeExceptionally(e);
              }
            });
    return ended;
  }

  private static void askForAll(FileNode node, int blocks, int number, AtomicBoolean over) {
    SplittableRandom random = new SplittableRandom(number);
    while (!over.get()) {
      int first = random.nextInt(blocks);
      long lengthBytes = (long) (blocks - first) * BLOCK;
      List<BlockExtent> found = BlockStatus.of(node, (long) first * BLOCK, lengthBytes, 1);
      assertTrue(found.getFirst().lengthBytes() <= lengthBytes);
    }
  }

  private static void changeOwn(FileNode node, int blocks, int number) throws Exception {
    SplittableRandom random = new SplittableRandom(10 + number);
    for (int i = 0; i < 4_000; i++) {
      long at = (2L * random.nextInt(blocks / 2) + number) * BLOCK;
      boolean writes = random.nextInt(4) != 0;
      apply(
          node,
          writes
              ? write(at, Mutation.Durability.CACHED)
              : new Mutation.Zero(
                  at, BLOCK, Mutation.Provisioning.MAY_PUNCH, Mutation.Durability.CACHED));
      State expected = writes ? State.DATA : State.HOLE;
      assertEquals(one(BLOCK, expected), BlockStatus.of(node, at, BLOCK), "change " + i);
      if (i % 64 == 63) {
        punchOwn(node, blocks, number);
      }
    }
  }

  /// Large holes again, which are known for long.
  private static void punchOwn(FileNode node, int blocks, int number) throws Exception {
    for (int block = number; block < blocks; block += 2) {
      apply(node, new Mutation.Discard((long) block * BLOCK, BLOCK, Mutation.Durability.CACHED));
    }
  }
}
