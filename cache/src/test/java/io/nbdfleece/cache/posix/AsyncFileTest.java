// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.posix.LinuxFile.Access;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AsyncFileTest {
  private static final int SIZE = 1 << 20;

  @TempDir Path directory;
  private final ManualExecutor workers = new ManualExecutor();
  private final AtomicLong clock = new AtomicLong(Long.MAX_VALUE - 1000);

  /// How long each look at the clock seems to have taken.
  private long stepNanos;

  private LinuxFile file;
  private AsyncFile async;

  @SuppressWarnings("NullAway.Init")
  AsyncFileTest() {}

  @BeforeEach
  void open() throws IOException {
    file = UncachedFile.create(directory.resolve("disk"), SIZE);
    async = new AsyncFile(file, workers, () -> clock.getAndAdd(stepNanos));
  }

  @AfterEach
  void close() throws IOException {
    file.close();
  }

  static ByteBuffer filled(int size, int value) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(size);
    while (buffer.hasRemaining()) {
      buffer.put((byte) value);
    }
    return buffer.flip();
  }

  private void assumeNoWait() throws IOException {
    assumeTrue(file.probeNoWait(0) != LinuxFile.UNSUPPORTED, "RWF_NOWAIT is not supported here");
  }

  @Test
  void cachedReadEndsInsideTheCall() throws IOException {
    assumeNoWait();
    file.write(filled(100, 4), 5000);
    Outcome done = new Outcome();
    ByteBuffer target = ByteBuffer.allocateDirect(100);
    async.read(5000, target, done);
    assertTrue(done.isDone());
    done.await();
    assertFalse(target.hasRemaining());
    assertEquals(4, target.get(99));
  }

  @Test
  void uncachedReadGoesToAWorker() throws Exception {
    assumeNoWait();
    Outcome[] done = new Outcome[1];
    ByteBuffer[] target = new ByteBuffer[1];
    UncachedFile.untilUncached(
        file.path(),
        () -> {
          done[0] = new Outcome();
          target[0] = filled(8192, 9);
          async.read(4096, target[0], done[0]);
          return !done[0].isDone();
        });
    assertEquals(1, workers.pending());
    workers.runAll();
    done[0].await();
    assertFalse(target[0].hasRemaining());
    assertEquals(7, target[0].get(0));
    assertEquals(7, target[0].get(8191));
  }

  /// The system call would wait for the file system's lock.
  @Test
  void whileHolesAreMadeASmallWriteGoesToAWorker() throws Exception {
    assumeNoWait();
    Outcome punched = new Outcome();
    Outcome[] written = {new Outcome(), new Outcome()};
    async.callLocking(
        () -> {
          async.write(0, filled(4096, 1), written[0]);
          assertFalse(written[0].isDone());
        },
        punched);
    workers.runAll();
    punched.await();
    written[0].await();
    async.write(0, filled(4096, 1), written[1]);
    assertTrue(written[1].isDone());
  }

  private static List<ByteBuffer> buffers(int... sizes) {
    List<ByteBuffer> buffers = new ArrayList<>();
    for (int size : sizes) {
      buffers.add(ByteBuffer.allocateDirect(size));
    }
    return buffers;
  }

  private static void assertFilled(List<ByteBuffer> targets, int... values) {
    for (int i = 0; i < values.length; i++) {
      assertFalse(targets.get(i).hasRemaining());
      for (int at = 0; at < targets.get(i).capacity(); at++) {
        assertEquals(values[i], targets.get(i).get(at), "byte " + at + " of buffer " + i);
      }
    }
  }

  @Test
  void severalBuffersAreFilledInsideTheCall() throws IOException {
    assumeNoWait();
    file.write(filled(100, 1), 5000);
    file.write(filled(50, 2), 5100);
    file.write(filled(7000, 3), 5150);
    List<ByteBuffer> targets = buffers(100, 50, 7000);
    Outcome done = new Outcome();
    async.read(5000, targets, done);
    assertTrue(done.isDone());
    done.await();
    assertFilled(targets, 1, 2, 3);
  }

  @Test
  void onlyTheRemainingBytesOfSeveralBuffersMove() throws IOException {
    assumeNoWait();
    file.write(filled(200, 1), 0);
    List<ByteBuffer> targets = buffers(100, 100);
    targets.get(0).position(40).limit(60);
    targets.get(1).position(90);
    Outcome done = new Outcome();
    async.read(0, targets, done);
    done.await();
    targets.forEach(ByteBuffer::clear);
    assertEquals(0, targets.get(0).get(39));
    assertEquals(1, targets.get(0).get(40));
    assertEquals(1, targets.get(0).get(59));
    assertEquals(0, targets.get(0).get(60));
    assertEquals(0, targets.get(1).get(89));
    assertEquals(1, targets.get(1).get(90));
  }

  /// More than one system call takes, and where the file has ended zeroes.
  @Test
  void whatOneCallDoesNotGiveAWorkerReads() throws IOException {
    assumeNoWait();
    int[] sizes = new int[100];
    int[] values = new int[100];
    for (int i = 0; i < sizes.length; i++) {
      sizes[i] = 100;
      values[i] = i < 98 ? 1 + i : 0;
      if (i < 98) {
        file.write(filled(100, values[i]), SIZE - 9800 + 100L * i);
      }
    }
    List<ByteBuffer> targets = buffers(sizes);
    Outcome done = new Outcome();
    async.read(SIZE - 9800, targets, done);
    assertFalse(done.isDone());
    workers.runAll();
    done.await();
    assertFilled(targets, values);
  }

  @Test
  void severalBuffersOnTmpfsAreFilledInsideTheCall() throws IOException {
    Path tmpfs = Path.of("/dev/shm");
    assumeTrue(Files.isWritable(tmpfs), "no tmpfs here");
    try (LinuxFile memory = LinuxFile.createUnnamed(tmpfs)) {
      memory.write(filled(100, 1), 0);
      memory.write(filled(100, 2), 100);
      List<ByteBuffer> targets = buffers(100, 100);
      Outcome done = new Outcome();
      new AsyncFile(memory, workers).read(0, targets, done);
      assertTrue(done.isDone());
      done.await();
      assertFilled(targets, 1, 2);
    }
  }

  @Test
  void severalBuffersOfATruncatedFileFail() throws IOException {
    file.truncate(6000);
    Outcome done = new Outcome();
    async.read(4096, buffers(4096, 4096), done);
    workers.runAll();
    IOException error = assertThrows(IOException.class, done::await);
    assertTrue(String.valueOf(error.getMessage()).contains("truncated"));
  }

  @Test
  void readBehindTheEndGivesZeroes() throws IOException {
    file.truncate(SIZE + 100);
    AsyncFile odd = new AsyncFile(file, workers);
    file.write(filled(100, 7), SIZE);
    Outcome done = new Outcome();
    ByteBuffer target = filled(512, 9);
    odd.read(SIZE, target, done);
    workers.runAll();
    done.await();
    assertEquals(7, target.get(99));
    for (int i = 100; i < 512; i++) {
      assertEquals(0, target.get(i));
    }
  }

  @Test
  void readOfATruncatedFileFails() throws IOException {
    file.truncate(4096);
    Outcome done = new Outcome();
    async.read(0, ByteBuffer.allocateDirect(8192), done);
    workers.runAll();
    IOException error = assertThrows(IOException.class, done::await);
    assertTrue(error.toString().contains("truncated while open"), error.toString());
  }

  @Test
  void fastAlignedWriteEndsInsideTheCall() throws IOException {
    Outcome done = new Outcome();
    async.write(8192, filled(4096, 1), done);
    assertTrue(done.isDone());
    done.await();
    ByteBuffer back = ByteBuffer.allocateDirect(1);
    file.read(back, 12287);
    assertEquals(1, back.get(0));
  }

  @Test
  void longWriteGoesToAWorker() throws Exception {
    Outcome shorter = new Outcome();
    async.write(0, filled(AsyncFile.LONG_BYTES - 4096, 1), shorter);
    assertTrue(shorter.isDone());
    Outcome done = new Outcome();
    async.write(0, filled(AsyncFile.LONG_BYTES, 2), done);
    assertFalse(done.isDone());
    assertEquals(1, workers.pending());
    workers.runAll();
    done.await();
    ByteBuffer found = ByteBuffer.allocateDirect(AsyncFile.LONG_BYTES);
    assertEquals(found.capacity(), file.read(found, 0));
    assertEquals(filled(found.capacity(), 2), found.flip());
  }

  @Test
  void longReadIntoSeveralBuffersGoesToAWorkerAndOneLongWriteStaysThere() throws Exception {
    int half = AsyncFile.LONG_BYTES / 2;
    async.write(0, filled(half, 1), new Outcome());
    async.write(half, filled(half, 2), new Outcome());
    List<ByteBuffer> targets =
        List.of(ByteBuffer.allocateDirect(half), ByteBuffer.allocateDirect(half));
    Outcome written = new Outcome();
    Outcome second = new Outcome();
    Outcome shorter = new Outcome();
    async.read(
        0,
        targets,
        new Completion() {
          @Override
          public void succeeded() {
            async.write(0, filled(AsyncFile.LONG_BYTES, 3), written);
            async.write(half, filled(AsyncFile.LONG_BYTES, 5), second);
          }

          @Override
          public void failed(IOException error) {
            written.failed(error);
          }
        });
    assertEquals(1, workers.pending());
    workers.runOne();
    assertTrue(written.isDone());
    written.await();
    assertFalse(second.isDone());
    assertEquals(1, workers.pending());
    workers.runOne();
    second.await();
    assertEquals(filled(half, 1), targets.get(0).flip());
    assertEquals(filled(half, 2), targets.get(1).flip());
    targets.forEach(ByteBuffer::clear);
    async.read(0, targets.subList(0, 1), shorter);
    assertTrue(shorter.isDone());
    assertEquals(filled(half, 3), targets.get(0).flip());
    async.write(0, filled(AsyncFile.LONG_BYTES, 4), new Outcome());
    assertEquals(1, workers.pending()); // the thread is no worker any more
    workers.runAll();
  }

  @Test
  void longReadIntoSeveralBuffersOfATruncatedFileFails() throws IOException {
    int half = AsyncFile.LONG_BYTES / 2;
    async.write(0, filled(half, 1), new Outcome());
    async.write(half, filled(half, 2), new Outcome());
    file.truncate(half + 5);
    Outcome read = new Outcome();
    List<ByteBuffer> targets =
        List.of(ByteBuffer.allocateDirect(half), ByteBuffer.allocateDirect(half));
    async.read(0, targets, read);
    workers.runAll();
    String text = assertThrows(IOException.class, read::await).toString();
    assertTrue(text.contains("truncated"), text);
  }

  @Test
  void slowWriteSendsLaterOnesToWorkersForAWhile() throws IOException {
    stepNanos = AsyncFile.SLOW_WRITE_NANOS + 4096 + 1;
    async.write(0, filled(4096, 1), new Outcome());
    assertEquals(0, workers.pending());
    stepNanos = 0;
    async.write(0, filled(4096, 2), new Outcome());
    assertEquals(1, workers.pending());
    clock.addAndGet(AsyncFile.SLOW_PERIOD_NANOS);
    async.write(0, filled(4096, 3), new Outcome());
    assertEquals(1, workers.pending());
    workers.runAll();
  }

  @ParameterizedTest
  @ValueSource(ints = {512, 4096 - 512, 4096 + 512})
  void writeOfPartOfAnUncachedPageGoesToAWorker(int length) throws Exception {
    assumeNoWait();
    Outcome[] done = new Outcome[1];
    UncachedFile.untilUncached(
        file.path(),
        () -> {
          done[0] = new Outcome();
          async.write(65536, filled(length, 1), done[0]);
          return !done[0].isDone();
        });
    workers.runAll();
    done[0].await();
    Outcome again = new Outcome();
    async.write(65536, filled(length, 2), again);
    assertTrue(again.isDone(), "the page is cached now");
    again.await();
  }

  @Test
  void writeOfPartOfAPageBehindTheEndNeedsNoWorker() throws IOException {
    assumeNoWait();
    Outcome done = new Outcome();
    async.write(SIZE, filled(512, 1), done);
    assertTrue(done.isDone());
    done.await();
  }

  @Test
  void durableWriteArrives() throws IOException {
    Outcome done = new Outcome();
    async.writeDurable(100, filled(5000, 6), done);
    workers.runAll();
    done.await();
    ByteBuffer back = ByteBuffer.allocateDirect(1);
    file.read(back, 5099);
    assertEquals(6, back.get(0));
  }

  @Test
  void writeErrorKeepsItsErrno() throws IOException {
    try (LinuxFile full = LinuxFile.open(Path.of("/dev/full"), Access.READ_WRITE)) {
      AsyncFile device = new AsyncFile(full, workers);
      Outcome plain = new Outcome();
      device.write(0, filled(4096, 1), plain);
      workers.runAll();
      assertEquals(Errno.ENOSPC, assertThrows(PosixException.class, plain::await).errno());
    }
  }

  @Test
  void durableWriteWithoutRoomSpoilsNothing() throws IOException {
    Outcome tooFar = new Outcome();
    async.writeDurable(1L << 62, filled(4096, 1), tooFar);
    workers.runAll();
    assertEquals(Errno.EFBIG, assertThrows(PosixException.class, tooFar::await).errno());
    Outcome next = new Outcome();
    async.writeDurable(0, filled(4096, 1), next);
    workers.runAll();
    next.await();
    Outcome sync = new Outcome();
    async.dataSync(sync);
    workers.runAll();
    sync.await();
  }

  @Test
  void zeroesAreWrittenWhereTheFileSystemCannotZero() throws IOException {
    Path shm = Path.of("/dev/shm");
    assumeTrue(Files.isDirectory(shm), "/dev/shm is not there");
    try (LinuxFile memory = LinuxFile.createUnnamed(shm)) {
      memory.write(filled(10_000, 8), 0);
      AsyncFile disk = new AsyncFile(memory, workers);
      Outcome done = new Outcome();
      disk.writeZeroes(1, 9_998, done);
      workers.runAll();
      done.await();
      ByteBuffer back = filled(10_000, 5);
      disk.read(0, back, new Outcome());
      for (int i = 0; i < 10_000; i++) {
        assertEquals(i == 0 || i == 9_999 ? 8 : 0, back.get(i));
      }
    }
  }

  @Test
  void closedWorkersFailTheOperation() throws IOException {
    IoWorkers closed = new IoWorkers("test", 1);
    closed.close();
    AsyncFile orphan = new AsyncFile(file, closed);
    Outcome punch = new Outcome();
    orphan.punchHole(0, 4096, punch);
    assertThrows(IOException.class, punch::await);
    Outcome sync = new Outcome();
    orphan.dataSync(sync);
    assertThrows(IOException.class, sync::await);
  }
}
