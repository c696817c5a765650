// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import io.nbdfleece.cache.posix.LinuxFile.Kind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinuxFileTest {
  private static final Path SHM = Path.of("/dev/shm");

  @TempDir Path directory;

  private static ByteBuffer direct(int size) {
    return ByteBuffer.allocateDirect(size);
  }

  private static ByteBuffer filled(int size, int value) {
    ByteBuffer buffer = direct(size);
    while (buffer.hasRemaining()) {
      buffer.put((byte) value);
    }
    return buffer.flip();
  }

  private Path file(String name, long size) throws IOException {
    Path path = Files.createFile(directory.resolve(name));
    try (LinuxFile file = LinuxFile.open(path, Access.READ_WRITE)) {
      file.truncate(size);
    }
    return path;
  }

  @Test
  void readsBackWhatItWroteAtAnOffset() throws IOException {
    try (LinuxFile file = LinuxFile.open(file("a", 0), Access.READ_WRITE)) {
      assertEquals(5, file.write(direct(5).put("hello".getBytes(UTF_8)).flip(), 1000));
      ByteBuffer back = direct(10);
      assertEquals(5, file.read(back, 1000));
      assertEquals(5, back.position());
      assertEquals("hello", UTF_8.decode(back.flip()).toString());
      assertEquals(1005, file.sizeBytes());
      assertEquals(0, file.read(direct(1), 1005));
    }
  }

  @Test
  void readingAheadPassesTheEndAndLeavesTheContent() throws IOException {
    Path path = directory.resolve("ahead");
    try (LinuxFile file = UncachedFile.create(path, 300_000)) {
      file.readAhead(0, 1 << 20);
      ByteBuffer target = ByteBuffer.allocateDirect(300_000);
      assertEquals(300_000, file.read(target, 0));
      assertEquals(7, target.get(299_999));
    }
  }

  @Test
  void onlyTheRemainingBytesOfABufferMove() throws IOException {
    try (LinuxFile file = LinuxFile.open(file("a", 0), Access.READ_WRITE)) {
      file.writeDurable(filled(100, 7).position(10).limit(20), 0);
      file.dataSync();
      assertEquals(10, file.sizeBytes());
      ByteBuffer back = direct(30).position(5).limit(9);
      assertEquals(4, file.read(back, 0));
      assertEquals(9, back.position());
      assertEquals(0, back.get(4));
      assertEquals(7, back.get(8));
      assertEquals(0, back.limit(30).get(9));
    }
  }

  @Test
  void errorsNameOperationPathAndErrno() {
    Path missing = directory.resolve("missing");
    PosixException error =
        assertThrows(PosixException.class, () -> LinuxFile.open(missing, Access.READ_ONLY));
    assertEquals(Errno.ENOENT, error.errno());
    assertEquals("open " + missing + ": No such file or directory (ENOENT)", error.getMessage());
  }

  @Test
  void deviceWithoutRoomSaysEnospc() throws IOException {
    try (LinuxFile full = LinuxFile.open(Path.of("/dev/full"), Access.READ_WRITE)) {
      assertEquals(Kind.OTHER, full.kind());
      PosixException error = assertThrows(PosixException.class, () -> full.write(filled(1, 1), 0));
      assertEquals(Errno.ENOSPC, error.errno());
      assertTrue(error.isNoRoom());
    }
  }

  @Test
  void readOnlyFileCannotBeWritten() throws IOException {
    try (LinuxFile file = LinuxFile.open(file("a", 10), Access.READ_ONLY)) {
      assertEquals(Kind.REGULAR, file.kind());
      assertEquals(1, file.logicalBlockBytes());
      assertThrows(PosixException.class, () -> file.write(filled(1, 1), 0));
    }
  }

  @Test
  void directoryIsNoDisk() throws IOException {
    try (LinuxFile file = LinuxFile.open(directory, Access.READ_ONLY)) {
      assertEquals(Kind.OTHER, file.kind());
    }
  }

  @Test
  void heapBufferIsRefused() throws IOException {
    try (LinuxFile file = LinuxFile.open(file("a", 10), Access.READ_ONLY)) {
      assertThrows(IllegalArgumentException.class, () -> file.read(ByteBuffer.allocate(1), 0));
      List<ByteBuffer> second = List.of(ByteBuffer.allocateDirect(1), ByteBuffer.allocate(1));
      assertThrows(IllegalArgumentException.class, () -> file.readNoWait(second, 0));
    }
  }

  @Test
  void noWaitReadTellsCachedFromUncached() throws Exception {
    Path path = directory.resolve("data");
    try (LinuxFile file = UncachedFile.create(path, 1 << 20)) {
      int[] count = new int[1];
      UncachedFile.untilUncached(
          path,
          () -> {
            count[0] = file.readNoWait(direct(4096), 1 << 19);
            return count[0] != 4096;
          });
      assumeFalse(count[0] == LinuxFile.UNSUPPORTED, "RWF_NOWAIT is not supported here");
      assertEquals(LinuxFile.WOULD_BLOCK, count[0]);
      assertEquals(4096, file.read(direct(4096), 1 << 19));
      assertEquals(4096, file.readNoWait(direct(4096), 1 << 19));
      assertEquals(1, file.probeNoWait((1 << 19) + 17));
      assertEquals(0, file.readNoWait(direct(1), 1 << 20));
    }
  }

  @Test
  void tmpfsNeverWaitsAndHasNoNoWait() throws IOException {
    assumeTrue(Files.isDirectory(SHM), "/dev/shm is not there");
    try (LinuxFile file = LinuxFile.createUnnamed(SHM)) {
      assertTrue(file.neverWaits());
      file.write(filled(100, 3), 0);
      int count = file.readNoWait(direct(100), 0);
      assertTrue(count == LinuxFile.UNSUPPORTED || count == 100);
      assertEquals(count, file.readNoWait(direct(100), 0));
    }
  }

  @Test
  void unnamedFileLeavesNoName() throws IOException {
    try (LinuxFile file = LinuxFile.createUnnamed(directory);
        LinuxFile fallback = LinuxFile.createAndUnlink(directory)) {
      for (LinuxFile each : List.of(file, fallback)) {
        assertEquals(3, each.write(filled(3, 9), 0));
        assertEquals(3, each.read(direct(3), 0));
        assertEquals(Kind.REGULAR, each.kind());
      }
      try (var names = Files.list(directory)) {
        assertEquals(0, names.count());
      }
    }
  }

  @Test
  void holesAreFoundAndPunched() throws IOException {
    try (LinuxFile file = LinuxFile.open(file("a", 0), Access.READ_WRITE)) {
      file.truncate(1 << 20);
      assertEquals(LinuxFile.NONE, file.seekData(0));
      assertEquals(0, file.seekHole(0));
      file.write(filled(128 << 10, 1), 64 << 10);
      assertEquals(64 << 10, file.seekData(0));
      assertEquals(192 << 10, file.seekHole(64 << 10));
      file.punchHole(64 << 10, 64 << 10);
      assertEquals(128 << 10, file.seekData(0));
      assertEquals(LinuxFile.NONE, file.seekHole(1 << 20));
      assertEquals(LinuxFile.NONE, file.seekData(5 << 20));
      assertEquals(1 << 20, file.sizeBytes());
    }
  }

  @Test
  void zeroedRangeReadsAsZeroes() throws IOException {
    try (LinuxFile file = LinuxFile.open(file("a", 0), Access.READ_WRITE)) {
      file.write(filled(8192, 5), 0);
      try {
        file.zeroRange(100, 4096);
      } catch (PosixException e) {
        assumeFalse(e.isUnsupported(), "no FALLOC_FL_ZERO_RANGE here");
        throw e;
      }
      ByteBuffer back = direct(8192);
      assertEquals(8192, file.read(back, 0));
      for (int i = 0; i < 8192; i++) {
        assertEquals(i < 100 || i >= 4196 ? 5 : 0, back.get(i), "at " + i);
      }
    }
  }

  @Test
  void freeSpaceIsThatOfTheFileSystem() throws IOException {
    assertTrue(LinuxFile.freeBytes(directory) > 0);
    assertThrows(PosixException.class, () -> LinuxFile.freeBytes(Path.of("/no/such/place")));
  }

  @Test
  void closedFileRefusesEveryCall() throws IOException {
    LinuxFile file = LinuxFile.open(file("a", 10), Access.READ_WRITE);
    file.close();
    file.close();
    IOException error = assertThrows(IOException.class, () -> file.read(direct(1), 0));
    assertTrue(error.toString().contains("file is closed: "), error.toString());
    assertThrows(IOException.class, () -> file.write(filled(1, 1), 0));
    assertThrows(IOException.class, file::sizeBytes);
    assertThrows(IOException.class, file::dataSync);
  }

  /// Descriptors are reused at once, so a read that slipped past the close would see the other
  /// file.
  @Test
  void closeWhileOthersReadNeverShowsThemAnotherFile() throws Exception {
    Path ours = directory.resolve("ours");
    Path other = directory.resolve("other");
    Files.write(ours, new byte[] {1});
    Files.write(other, new byte[] {2});
    AtomicInteger wrong = new AtomicInteger();
    for (int round = 0; round < 200; round++) {
      LinuxFile file = LinuxFile.open(ours, Access.READ_ONLY);
      CountDownLatch running = new CountDownLatch(2);
      List<Thread> threads = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        threads.add(Thread.ofPlatform().start(() -> readUntilClosed(file, running, wrong)));
      }
      running.await();
      file.close();
      try (LinuxFile next = LinuxFile.open(other, Access.READ_ONLY)) {
        assertEquals(1, next.sizeBytes());
        for (Thread thread : threads) {
          thread.join();
        }
      }
    }
    assertEquals(0, wrong.get());
  }

  private static void readUntilClosed(LinuxFile file, CountDownLatch running, AtomicInteger wrong) {
    ByteBuffer target = direct(1);
    boolean first = true;
    while (true) {
      try {
        file.read(target.clear(), 0);
      } catch (PosixException e) {
        wrong.incrementAndGet();
        return;
      } catch (IOException e) {
        return; // Closed, as expected.
      }
      if (target.get(0) != 1) {
        wrong.incrementAndGet();
      }
      if (first) {
        running.countDown();
        first = false;
      }
    }
  }
}
