// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.delta.DeltaExtent;
import io.nbdfleece.cli.delta.DeltaMap;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// What is left when a pull is given up, and what is said of it.
@Timeout(120)
final class PullAbortTest {
  private static final int SIZE_BYTES = 2 << 20;
  private static final int ABORTS = 40;
  private static final long SEED = 20261123;

  @TempDir Path directory = Path.of("");
  @TempDir Path sockets = Path.of("");
  private final Random random = new Random(SEED);

  enum Kind {
    FULL,
    RESUMED,
    DELTA
  }

  private static PullOptions overwriting(Path file) {
    return new PullOptions(
        file.toString(),
        true,
        PullTarget.Sync.NONE,
        OptionalInt.empty(),
        PullOptions.Resume.NO,
        Duration.ZERO,
        Optional.empty());
  }

  @Test
  void abortedBeforeItsFileIsOpenedItNeverIs() throws IOException {
    try (Served served = new Served(new byte[SIZE_BYTES], Kind.FULL, sockets)) {
      Pull pull = pull(served, Kind.FULL, Progress.none());
      assertEquals(PullTarget.Left.NOTHING, pull.abort());
      IOException end = assertThrows(IOException.class, pull::run);
      assertEquals("interrupted", Messages.of(end));
    }
    assertEquals(List.of(), names());
  }

  /// As at the end of the process: what is there is looked at as soon as the abort has returned.
  @ParameterizedTest
  @EnumSource(Kind.class)
  void whenEverItIsAbortedWhatIsSaidIsTrue(Kind kind) throws IOException {
    byte[] image = new byte[SIZE_BYTES];
    if (kind != Kind.DELTA) {
      // What is zero has changed, in the eyes of the export's bitmap.
      random.nextBytes(image);
    }
    List<PullTarget.Left> said = new ArrayList<>();
    Set<String> ends = ConcurrentHashMap.newKeySet();
    try (Served served = new Served(image, kind, sockets)) {
      for (int i = 0; i < ABORTS; i++) {
        CompletableFuture<Void> opening = new CompletableFuture<>();
        Pull pull = pull(served, kind, Progress.none());
        Thread running =
            Thread.ofPlatform()
                .start(
                    () -> {
                      opening.complete(null);
                      try {
                        PullSummary _ = pull.run();
                      } catch (IOException e) {
                        ends.add(Messages.of(e));
                      }
                    });
        opening.join();
        LockSupport.parkNanos(random.nextLong(40_000_000));
        PullTarget.Left left = pull.abort();
        assertTrue(isTrue(left, image, kind), left + ": " + names());
        said.add(left);
        join(running);
        assertTrue(isTrue(left, image, kind), left + " at the end: " + names());
        removeAll();
      }
    }
    System.out.println("seed " + SEED + ": " + kind + ": " + said + ", " + ends);
  }

  private boolean isTrue(PullTarget.Left left, byte[] image, Kind kind) throws IOException {
    List<String> names = names();
    return switch (left) {
      case NOTHING -> names.isEmpty();
      case PART -> false;
      case RESUMABLE -> names.equals(List.of("out.part", "out.part.map"));
      case ALL -> {
        assertArrayEquals(image, Files.readAllBytes(directory.resolve("out")));
        yield !names.contains("out.part")
            && (kind != Kind.DELTA || names.equals(List.of("out", "out.map")));
      }
    };
  }

  @Test
  void whatWasGivenUpDoesNotReplaceAnOldDelta() throws IOException {
    Path file = Files.writeString(directory.resolve("out"), "old");
    Path map = Files.writeString(DeltaMap.pathOf(file), "old map");
    DeltaTarget target = delta(file, 100);
    target.zeroes(0, 4096);
    target.discard();
    IOException end = assertThrows(IOException.class, () -> target.finish(PullTarget.Sync.NONE));
    assertEquals("interrupted", Messages.of(end));
    assertEquals("old", Files.readString(file));
    assertEquals("old map", Files.readString(map));
    assertEquals(List.of("out", "out.map"), names());
  }

  @Test
  void whatWasGivenUpDoesNotReplaceAnOldFile() throws IOException {
    Path file = Files.writeString(directory.resolve("out"), "old");
    SparseFileTarget target = SparseFileTarget.create(file, SIZE_BYTES);
    assertEquals(PullTarget.Left.NOTHING, target.keep());
    assertThrows(IOException.class, () -> target.finish(PullTarget.Sync.NONE));
    assertEquals("old", Files.readString(file));
    assertEquals(List.of("out"), names());
  }

  @Test
  void whatIsKeptDoesNotGetItsName() throws IOException {
    Path file = directory.resolve("out");
    PullSource source = new PullSource("/s", "vda", SIZE_BYTES, "");
    ResumableFileTarget target = ResumableFileTarget.open(file, source);
    assertEquals(PullTarget.Left.RESUMABLE, target.keep());
    assertThrows(IOException.class, () -> target.finish(PullTarget.Sync.FSYNC));
    assertEquals(PullTarget.Left.RESUMABLE, target.keep());
    assertEquals(List.of("out.part", "out.part.map"), names());
    ResumableFileTarget complete = ResumableFileTarget.open(file, source);
    complete.finish(PullTarget.Sync.FSYNC);
    assertEquals(PullTarget.Left.ALL, complete.keep());
    assertEquals(List.of("out"), names());
  }

  @Test
  void givenUpItKeepsThePartOnly() throws IOException {
    SparseFileTarget target = SparseFileTarget.create(directory.resolve("out"), SIZE_BYTES);
    assertTrue(target.giveUp());
    assertThrows(IOException.class, () -> target.finish(PullTarget.Sync.NONE));
    target.close();
    assertEquals(List.of("out.part"), names());
  }

  @Test
  void whatIsCompleteStays() throws IOException {
    SparseFileTarget target = SparseFileTarget.create(directory.resolve("out"), SIZE_BYTES);
    target.finish(PullTarget.Sync.NONE);
    assertEquals(PullTarget.Left.ALL, target.keep());
    assertEquals(List.of("out"), names());
  }

  @Test
  void aFileThatCannotBeMadeLeavesNothing() throws IOException {
    Path file = directory.resolve("out");
    assertThrows(IOException.class, () -> SparseFileTarget.create(file, -1));
    assertEquals(List.of(), names());
  }

  /// A file in place of the device.
  @Test
  void aDeviceIsNotWhatItWas() throws IOException {
    Path file = Files.write(directory.resolve("out"), new byte[SIZE_BYTES]);
    PullTarget.Left left = BlockDeviceTarget.open(file, SIZE_BYTES).keep();
    assertEquals(
        "/dev/x holds a part only: pull again to overwrite all of it", left.text("/dev/x"));
    BlockDeviceTarget complete = BlockDeviceTarget.open(file, SIZE_BYTES);
    complete.finish(PullTarget.Sync.FSYNC);
    assertEquals("/dev/x is complete", complete.keep().text("/dev/x"));
  }

  /// Files in place of devices.
  @Test
  void whatAnotherProgramWritesIsLeftAlone() throws IOException {
    Path served = Files.write(directory.resolve("vda.img"), new byte[SIZE_BYTES]);
    try (LinuxFile disk = LinuxFile.open(served, LinuxFile.Access.READ_WRITE)) {
      ImageLock.acquire(disk, LinuxFile.Access.READ_WRITE);
      for (Executable pull :
          List.<Executable>of(
              () -> BlockDeviceTarget.open(served, SIZE_BYTES),
              () -> PullTargets.check(overwriting(served)))) {
        assertEquals(
            served + ": in use by another program: stop that one first, or name another FILE",
            assertThrows(CommandFailure.class, pull).getMessage());
      }
    }
    BlockDeviceTarget first = BlockDeviceTarget.open(served, SIZE_BYTES);
    assertThrows(CommandFailure.class, () -> BlockDeviceTarget.open(served, SIZE_BYTES));
    first.discard();
    PullTargets.check(overwriting(served));
  }

  @Test
  void aFaultOfOursLeavesNoPart() throws IOException {
    PrintStream broken =
        new PrintStream(PrintStream.nullOutputStream()) {
          @Override
          public void println(String line) {
            throw new IllegalStateException("broken");
          }
        };
    try (Served served = new Served(new byte[SIZE_BYTES], Kind.FULL, sockets)) {
      Pull pull = pull(served, Kind.FULL, Progress.json(broken));
      assertThrows(IllegalStateException.class, pull::run);
    }
    assertEquals(List.of(), names());
  }

  @Test
  void adjacentChangesOfAKindAreOnePiece() throws IOException {
    Path file = directory.resolve("out");
    DeltaTarget target = delta(file, 3);
    byte[] content = new byte[12288];
    random.nextBytes(content);
    target.data(0, ByteBuffer.wrap(content, 0, 4096));
    target.data(4096, ByteBuffer.wrap(content, 4096, 8192).slice());
    target.zeroes(12288, 4096);
    target.zeroes(16384, 4096);
    target.data(65536, ByteBuffer.wrap(content, 0, 4096));
    CommandFailure failure = assertThrows(CommandFailure.class, () -> target.zeroes(131072, 4096));
    assertEquals(
        "the changes are in more than 3 pieces: pull all of it, without --since",
        Messages.of(failure));
    target.finish(PullTarget.Sync.NONE);
    assertEquals(
        List.of(
            new DeltaExtent(0, 12288, crc(content, 12288)),
            new DeltaExtent(12288, 8192, OptionalInt.empty()),
            new DeltaExtent(65536, 4096, crc(content, 4096))),
        DeltaMap.read(DeltaMap.pathOf(file)).extents());
  }

  private static OptionalInt crc(byte[] content, int lengthBytes) {
    CRC32C crc = new CRC32C();
    crc.update(content, 0, lengthBytes);
    return OptionalInt.of((int) crc.getValue());
  }

  private static DeltaTarget delta(Path file, int extentsMax) throws IOException {
    ExportInfo info = new ExportInfo(SIZE_BYTES, "", Set.of(), 1 << 20, List.of());
    return DeltaTarget.create(
        file,
        new PullSource("/s", "vda", SIZE_BYTES, ""),
        new DirtyRanges("c1", new DoneRanges(), info),
        extentsMax);
  }

  private Pull pull(Served served, Kind kind, Progress progress) {
    PullOptions options =
        new PullOptions(
            directory.resolve("out").toString(),
            false,
            PullTarget.Sync.FSYNC,
            OptionalInt.of(2),
            kind == Kind.RESUMED ? PullOptions.Resume.YES : PullOptions.Resume.NO,
            Duration.ZERO,
            Optional.empty(),
            kind == Kind.DELTA
                ? Optional.of(new PullOptions.Since(Optional.empty()))
                : Optional.empty());
    return new Pull(served.uri(), options, progress);
  }

  private List<String> names() throws IOException {
    try (var files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private void removeAll() throws IOException {
    for (String name : names()) {
      Files.delete(directory.resolve(name));
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  /// A server of one export, whose socket is elsewhere.
  private record Served(NbdServer server) implements AutoCloseable {
    Served(byte[] image, Kind kind, Path sockets) throws IOException {
      this(
          NbdServer.start(
              new ServerConfig(
                  List.of(new ServerConfig.Listen.Unix(sockets.resolve("nbd.sock"))),
                  ServerLimits.defaults()),
              new ImageExport(
                  image,
                  List.of(
                      kind == Kind.DELTA ? "qemu:dirty-bitmap:c1" : ExportInfo.BASE_ALLOCATION))));
    }

    NbdUri uri() {
      return server.uris().getFirst().withExportName("vda@nightly");
    }

    @Override
    public void close() {
      server.close(Duration.ofSeconds(5));
    }
  }
}
