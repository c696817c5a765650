// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.IoWorkers;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.hook.Outcome;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Somebody cuts the file, and a guest's write makes it longer again: what lies between is not the
/// zeroes that it reads as.
@Timeout(60)
final class CutFileTest {
  private static final int BLOCK = 4096;
  private static final int BLOCKS = 256;
  private static final int CUT = 100;

  @TempDir Path directory;
  private final IoWorkers workers = new IoWorkers("test-io", 4);
  private byte[] old = new byte[0];
  private Path image = Path.of("");

  @BeforeEach
  void make() throws IOException {
    old = new byte[BLOCK * BLOCKS];
    new SplittableRandom(5).nextBytes(old);
    image = directory.resolve("vda.img");
    Files.write(image, old);
  }

  @AfterEach
  void closeWorkers() {
    workers.close();
  }

  private FileNode open() throws IOException {
    return FileNode.open(image, LinuxFile.Access.READ_WRITE, workers);
  }

  private void cut(long lengthBytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength(lengthBytes);
    }
  }

  private static void await(Outcome outcome) throws IOException {
    try {
      outcome.future().get(30, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException failure) {
        throw failure;
      }
      throw new AssertionError(e);
    } catch (InterruptedException | TimeoutException e) {
      throw new AssertionError(e);
    }
  }

  private static byte[] read(FileNode node, long offsetBytes, int lengthBytes) throws IOException {
    ByteBuffer target = ByteBuffer.allocateDirect(lengthBytes);
    Outcome outcome = new Outcome();
    node.read(offsetBytes, target, outcome);
    await(outcome);
    byte[] bytes = new byte[lengthBytes];
    target.flip().get(bytes);
    return bytes;
  }

  private static byte[] block(int value) {
    byte[] block = new byte[BLOCK];
    Arrays.fill(block, (byte) value);
    return block;
  }

  private static void write(FileNode node, int block, Mutation.Durability durability)
      throws IOException {
    Outcome outcome = new Outcome();
    ByteBuffer data = ByteBuffer.allocateDirect(BLOCK).put(block(7)).flip();
    node.apply(new Mutation.Write((long) block * BLOCK, data, durability), outcome);
    await(outcome);
  }

  private static void assertLost(FileNode node, int block) {
    String text =
        assertThrows(IOException.class, () -> read(node, (long) block * BLOCK, BLOCK)).toString();
    assertTrue(text.contains("truncated while open"), text);
  }

  private void assertKept(FileNode node, int block) throws IOException {
    byte[] expected = Arrays.copyOfRange(old, block * BLOCK, (block + 1) * BLOCK);
    assertArrayEquals(expected, read(node, (long) block * BLOCK, BLOCK));
  }

  @ParameterizedTest
  @EnumSource(Mutation.Durability.class)
  void whatLiesBetweenTheCutAndAWriteBehindItStaysUnreadable(Mutation.Durability durability)
      throws IOException {
    try (FileNode node = open()) {
      cut(CUT * BLOCK);
      write(node, CUT + 10, durability);
      assertEquals((CUT + 11) * BLOCK, Files.size(image));
      assertKept(node, CUT - 1);
      assertLost(node, CUT);
      assertLost(node, CUT + 9);
      assertArrayEquals(block(7), read(node, (CUT + 10) * BLOCK, BLOCK));
      assertLost(node, CUT + 11);
      assertThrows(IOException.class, () -> read(node, (CUT - 1) * BLOCK, 2 * BLOCK));
      assertThrows(IOException.class, () -> read(node, (CUT + 9) * BLOCK, 2 * BLOCK));
    }
  }

  /// All of it is in memory, and looks like data at both ends.
  @Test
  void whatIsLostIsNotSentFromThePageCache() throws IOException {
    try (FileNode node = open()) {
      cut(CUT * BLOCK);
      write(node, CUT + 2, Mutation.Durability.CACHED);
      assertKept(node, CUT - 1);
      assertLost(node, CUT);
      assertLost(node, CUT + 1);
      assertFalse(node.sender((CUT - 1) * BLOCK, 4 * BLOCK).isPresent());
    }
  }

  @Test
  void theSameWhenAReadHasMetTheCutFirst() throws IOException {
    try (FileNode node = open()) {
      write(node, 0, Mutation.Durability.CACHED); // a write has looked just now
      cut(CUT * BLOCK + 17);
      assertThrows(IOException.class, () -> read(node, 0, BLOCK * BLOCKS));
      write(node, BLOCKS - 1, Mutation.Durability.CACHED);
      assertEquals(BLOCKS * BLOCK, Files.size(image));
      assertLost(node, CUT);
      assertLost(node, BLOCKS - 2);
      byte[] last = Arrays.copyOfRange(old, CUT * BLOCK, CUT * BLOCK + 17);
      assertArrayEquals(last, read(node, CUT * BLOCK, 17));
    }
  }

  @Test
  void theSameWhenAZeroingMakesItLonger() throws IOException {
    try (FileNode node = open()) {
      cut(CUT * BLOCK);
      // Where zeroing can be done without writing, the file stays as short as it is.
      Outcome outcome = new Outcome();
      node.apply(
          new Mutation.Zero(
              (CUT + 10) * BLOCK,
              BLOCK,
              Mutation.Provisioning.KEEP,
              Mutation.Speed.ANY,
              Mutation.Durability.CACHED),
          outcome);
      await(outcome);
      assertLost(node, CUT + 9);
    }
  }

  @Test
  void whatIsWrittenAgainIsReadableInOnePiece() throws IOException {
    try (FileNode node = open()) {
      cut(CUT * BLOCK);
      for (int block : new int[] {CUT + 2, CUT, CUT + 1, CUT + 4}) {
        write(node, block, Mutation.Durability.CACHED);
      }
      assertEquals(3 * BLOCK, read(node, CUT * BLOCK, 3 * BLOCK).length);
      assertLost(node, CUT + 3);
      write(node, CUT + 3, Mutation.Durability.CACHED);
      byte[] expected = Arrays.copyOfRange(old, (CUT - 1) * BLOCK, (CUT + 5) * BLOCK);
      Arrays.fill(expected, BLOCK, 6 * BLOCK, (byte) 7);
      assertArrayEquals(expected, read(node, (CUT - 1) * BLOCK, 6 * BLOCK));
    }
  }

  @Test
  void whatWasWrittenAgainIsLostWhenTheFileIsCutAgain() throws Exception {
    try (FileNode node = open()) {
      cut(CUT * BLOCK);
      write(node, CUT, Mutation.Durability.CACHED);
      write(node, CUT + 1, Mutation.Durability.CACHED);
      cut((CUT + 1) * BLOCK);
      assertTrue(node.damage().isPresent());
      write(node, CUT + 2, Mutation.Durability.CACHED);
      assertArrayEquals(block(7), read(node, CUT * BLOCK, BLOCK));
      assertLost(node, CUT + 1);
      cut(50 * BLOCK);
      assertTrue(node.damage().orElseThrow().contains(" ended at " + 50 * BLOCK));
      write(node, CUT + 2, Mutation.Durability.CACHED);
      assertKept(node, 49);
      assertLost(node, 50);
      assertLost(node, CUT);
    }
  }

  /// Else a reader that skips holes would put zeroes into its backup.
  @Test
  void whatIsLostIsNoHole() throws IOException {
    List<BlockExtent> allData = List.of(new BlockExtent(BLOCKS * BLOCK, State.DATA));
    try (FileNode node = open()) {
      cut(CUT * BLOCK);
      assertEquals(allData, BlockStatus.of(node, 0, BLOCKS * BLOCK));
      write(node, CUT + 100, Mutation.Durability.CACHED);
      assertEquals(allData, BlockStatus.of(node, 0, BLOCKS * BLOCK));
      assertEquals(
          List.of(new BlockExtent(BLOCK, State.DATA)),
          BlockStatus.of(node, (CUT + 50) * BLOCK, BLOCK));
    }
  }

  @Test
  void damageIsToldOnceThereIsSomeAndSaysWhatToDo() throws IOException {
    try (FileNode node = open()) {
      assertEquals(Optional.empty(), node.damage());
      cut(CUT * BLOCK);
      String damage = node.damage().orElseThrow();
      assertTrue(damage.contains(image.toString()), damage);
      assertTrue(damage.contains("ended at " + CUT * BLOCK), damage);
      assertTrue(damage.contains("restore"), damage);
      cut(BLOCKS * BLOCK);
      assertEquals(damage, node.damage().orElseThrow());
      assertLost(node, CUT);
    }
    try (FileNode again = open()) {
      assertEquals(Optional.empty(), again.damage(), "it is what it is now");
    }
  }
}
