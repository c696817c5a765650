// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class FileSenderTest {
  private static final int SIZE = 1 << 20;
  private static final ByteBuffer NO_HEAD = ByteBuffer.allocateDirect(0);

  @TempDir private Path directory;
  private Path path;
  private LinuxFile file;
  private CutWatch watch;
  private FileSender sender;

  @BeforeEach
  void open() throws IOException {
    path = directory.resolve("disk");
    file = UncachedFile.create(path, SIZE);
    watch = CutWatch.of(file);
    sender = new FileSender(file, watch);
    Assumptions.assumeTrue(sender.isReady(0, SIZE), "cachestat(2) came with Linux 6.5");
  }

  @AfterEach
  void close() throws IOException {
    file.close();
  }

  @Test
  void whatIsInThePageCacheIsReadyAtAnyBoundary() throws IOException {
    assertTrue(sender.isReady(1, SIZE - 1));
    assertTrue(sender.isReady(4090, 12));
    assertTrue(sender.isReady(SIZE - 8, 8));
  }

  @Test
  void whatIsNotInThePageCacheIsNotReady() throws Exception {
    UncachedFile.untilUncached(path, () -> !sender.isReady(0, SIZE));
  }

  @Test
  void onePageThatIsMissingIsEnough() throws Exception {
    UncachedFile.untilUncached(
        path,
        () -> {
          ByteBuffer page = ByteBuffer.allocateDirect(4096);
          int _ = file.read(page, 0);
          return sender.isReady(0, 4096) && !sender.isReady(0, SIZE);
        });
  }

  @Test
  void longZeroesAreNotReady() throws IOException {
    int _ = file.write(ByteBuffer.allocateDirect(128 << 10), 300_000);
    assertFalse(sender.isReady(0, SIZE));
    assertTrue(sender.isReady(0, 300_000));
  }

  @Test
  void behindTheEndNothingIsReady() throws IOException {
    assertFalse(sender.isReady(SIZE - 4096, 2 * 4096));
  }

  @Test
  void bytesAreSentFromTheirPlace() throws IOException {
    int _ = file.write(ByteBuffer.allocateDirect(4).put(new byte[] {1, 2, 3, 4}).flip(), 5000);
    Path target = directory.resolve("target");
    Files.createFile(target);
    // A file, because a descriptor of it can be had; the system copies into it then.
    try (LinuxFile out = LinuxFile.open(target, Access.READ_WRITE)) {
      int descriptor = out.enter();
      try {
        assertEquals(6, sender.send(descriptor, NO_HEAD, 4999, 6));
      } finally {
        out.leave();
      }
    }
    assertArrayEquals(new byte[] {7, 1, 2, 3, 4, 7}, Files.readAllBytes(target));
  }

  @Test
  void aFileThatHasBecomeShorterIsSaidToBe() throws IOException {
    file.truncate(4096);
    Path target = directory.resolve("target");
    Files.createFile(target);
    try (LinuxFile out = LinuxFile.open(target, Access.READ_WRITE)) {
      int descriptor = out.enter();
      try {
        EOFException e =
            assertThrows(EOFException.class, () -> sender.send(descriptor, NO_HEAD, 8192, 4096));
        assertEquals(path + " has become shorter: it ends before 8192", e.getMessage());
      } finally {
        out.leave();
      }
    }
  }

  /// Between the look at the page cache and the moment when the socket has room.
  @Test
  void whatACutHasTakenIsNotSentWhenTheFileHasBecomeLongerAgain() throws IOException {
    file.truncate(4096);
    watch.look();
    file.truncate(SIZE);
    Path target = directory.resolve("target");
    Files.createFile(target);
    try (LinuxFile out = LinuxFile.open(target, Access.READ_WRITE)) {
      int descriptor = out.enter();
      try {
        assertEquals(4096, sender.send(descriptor, NO_HEAD, 0, 4096));
        IOException e =
            assertThrows(IOException.class, () -> sender.send(descriptor, NO_HEAD, 8192, 4096));
        assertTrue(e.toString().contains("was truncated while open"), e.toString());
        assertEquals(4096, out.sizeBytes());
      } finally {
        out.leave();
      }
    }
  }

  @Test
  void aClosedFileIsNotRead() throws IOException {
    file.close();
    assertThrows(IOException.class, () -> sender.isReady(0, SIZE));
    assertThrows(IOException.class, () -> sender.send(0, NO_HEAD, 0, SIZE));
  }

  @Test
  void whatTheOtherSideCannotTakeIsAnError() throws IOException {
    PosixException e =
        assertThrows(
            PosixException.class, () -> sender.send(-1, ByteBuffer.allocateDirect(4), 0, SIZE));
    assertEquals(Errno.EBADF, e.errno());
    assertTrue(e.toString().contains(path.toString()), e.toString());
  }
}
