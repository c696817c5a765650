// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Interruptions, against our own server over a real socket.
@Timeout(120)
final class PullResumeTest {
  private static final int SIZE_BYTES = (24 << 20) + 512;
  private static final long SEED = 20261122;

  @TempDir Path directory = Path.of("");

  private static byte[] image() {
    byte[] image = new byte[SIZE_BYTES];
    new Random(SEED).nextBytes(image);
    java.util.Arrays.fill(image, 4 << 20, 6 << 20, (byte) 0);
    java.util.Arrays.fill(image, 18 << 20, 20 << 20, (byte) 0);
    return image;
  }

  @Test
  void aPullThatFailedGoesOnWhereItWas() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.failFromBytes = 16 << 20;
    CommandFailure failure = assertThrows(CommandFailure.class, () -> pull(export));
    assertTrue(Messages.of(failure).endsWith(Pull.GO_ON), Messages.of(failure));
    assertOnlyFiles("out.img.part", "out.img.part.map");
    long firstBytes = export.readBytes.getAndSet(0);

    export.failFromBytes = Long.MAX_VALUE;
    PullSummary summary = pull(export);
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
    assertOnlyFiles("out.img");
    assertTrue(summary.resumedBytes() > 0, summary::toString);
    assertEquals(summary.dataBytes(), export.readBytes.get());
    assertTrue(
        export.readBytes.get() < (20 << 20), "first " + firstBytes + ", then " + export.readBytes);
    assertEquals(SIZE_BYTES, summary.dataBytes() + summary.zeroBytes() + summary.resumedBytes());
  }

  @Test
  void whatWasNotNotedIsReadAgainWhateverIsThere() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.failFromBytes = 12 << 20;
    assertThrows(CommandFailure.class, () -> pull(export));
    // As if a crash had left garbage in all that the journal does not know, zeroes included.
    Path part = directory.resolve("out.img.part");
    byte[] left = Files.readAllBytes(part);
    DoneRanges done = PullJournal.read(directory.resolve("out.img.part.map")).done();
    for (ByteRange gap : done.gaps(SIZE_BYTES)) {
      java.util.Arrays.fill(left, (int) gap.offsetBytes(), (int) gap.endBytes(), (byte) 0x5a);
    }
    Files.write(part, left);
    export.failFromBytes = Long.MAX_VALUE;
    PullSummary _ = pull(export);
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
  }

  @Test
  void anotherSnapshotIsRefusedAndNothingIsLost() throws IOException {
    ImageExport export = export(image());
    export.failFromBytes = 12 << 20;
    assertThrows(CommandFailure.class, () -> pull(export));
    byte[] part = Files.readAllBytes(directory.resolve("out.img.part"));
    byte[] map = Files.readAllBytes(directory.resolve("out.img.part.map"));
    ImageExport other = export(image());
    other.description = "snapshot nightly of disk vda, frozen later";
    CommandFailure failure = assertThrows(CommandFailure.class, () -> pull(other));
    assertEquals(ExitCode.BUSY, failure.code());
    assertTrue(Messages.of(failure).contains("frozen later"), Messages.of(failure));
    assertArrayEquals(part, Files.readAllBytes(directory.resolve("out.img.part")));
    assertArrayEquals(map, Files.readAllBytes(directory.resolve("out.img.part.map")));
  }

  @Test
  void withoutResumeItStartsOverAndTheJournalIsGone() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.failFromBytes = 12 << 20;
    assertThrows(CommandFailure.class, () -> pull(export));
    assertThrows(CommandFailure.class, () -> pull(export, options(PullOptions.Resume.NO, 0)));
    assertOnlyFiles();
    export.failFromBytes = Long.MAX_VALUE;
    PullSummary summary = pull(export);
    assertEquals(0, summary.resumedBytes());
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
  }

  @Test
  void aJournalWithoutItsFileIsNotBelieved() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.failFromBytes = 12 << 20;
    assertThrows(CommandFailure.class, () -> pull(export));
    Files.delete(directory.resolve("out.img.part"));
    export.failFromBytes = Long.MAX_VALUE;
    assertEquals(0, pull(export).resumedBytes());
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
  }

  @Test
  void aBrokenSnapshotLeavesNothingToGoOnWith() throws IOException {
    ImageExport export = export(image());
    export.failFromBytes = 12 << 20;
    export.failure = "snapshot nightly is broken and yields no data any more: scratch full";
    CommandFailure failure = assertThrows(CommandFailure.class, () -> pull(export));
    assertEquals(ExitCode.SNAPSHOT_BROKEN, failure.code());
    assertOnlyFiles();
  }

  /// A device that is always full in place of the file system.
  @Test
  void onAFullDiskItLeavesWhatCameAndNothingElse() throws IOException {
    Path map = directory.resolve("out.img.part.map");
    Path fresh = Files.createSymbolicLink(directory.resolve(map + ".new"), Path.of("/dev/full"));
    SparseFileTarget part = SparseFileTarget.lock(directory.resolve("out.img"));
    PullSource source = new PullSource("/s", "vda", SIZE_BYTES, "");
    CommandFailure failure =
        assertThrows(
            CommandFailure.class,
            () -> ResumableFileTarget.journal(part, map, source, new DoneRanges()));
    assertEquals(
        map + ": No space left on device: make room there, or name a FILE elsewhere",
        Messages.of(failure));
    assertOnlyFiles();
    ImageExport export = export(image());
    export.failFromBytes = 12 << 20;
    assertThrows(CommandFailure.class, () -> pull(export));
    byte[] noted = Files.readAllBytes(map);
    Files.createSymbolicLink(fresh, Path.of("/dev/full"));
    assertThrows(CommandFailure.class, () -> pull(export));
    assertOnlyFiles("out.img.part", "out.img.part.map");
    assertArrayEquals(noted, Files.readAllBytes(map));
  }

  @Test
  void standardOutputCannotBeResumed() {
    PullOptions options =
        new PullOptions(
            "-",
            false,
            PullTarget.Sync.FSYNC,
            OptionalInt.empty(),
            PullOptions.Resume.YES,
            Duration.ZERO,
            Optional.empty());
    Pull pull = new Pull(new NbdUri.Unix(directory.resolve("x"), ""), options, Progress.none());
    assertEquals(ExitCode.USAGE, assertThrows(CommandFailure.class, pull::run).code());
  }

  @Test
  void anAbortKeepsWhatHasComeAndALaterPullGoesOn() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.holdFromBytes = 16 << 20;
    try (Served served = new Served(export, directory)) {
      Pull pull = new Pull(served.uri(), options(PullOptions.Resume.YES, 0), Progress.none());
      CompletableFuture<Void> running =
          CompletableFuture.runAsync(
              () -> assertThrows(IOException.class, pull::run), task -> new Thread(task).start());
      Awaitility.await().until(() -> export.readBytes.get() >= 12 << 20);
      assertEquals(PullTarget.Left.RESUMABLE, pull.abort());
      assertEquals(PullTarget.Left.RESUMABLE, pull.abort());
      export.release();
      running.join();
    }
    assertOnlyFiles("out.img.part", "out.img.part.map");
    PullSummary summary = pull(export);
    assertTrue(summary.resumedBytes() > 0, summary::toString);
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
  }

  /// The lock is looked at as another program would: one of the same process could not tell.
  @Test
  void whileAResumedPullRunsNobodyElseMayWriteItsFile() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.failFromBytes = 12 << 20;
    assertThrows(CommandFailure.class, () -> pull(export));
    export.failFromBytes = Long.MAX_VALUE;
    export.readBytes.set(0);
    export.holdFromBytes = 20 << 20;
    try (Served served = new Served(export, directory)) {
      CompletableFuture<PullSummary> running =
          start(new Pull(served.uri(), options(PullOptions.Resume.YES, 0), Progress.none()));
      Awaitility.await().until(() -> export.readBytes.get() > 0);
      Path part = directory.resolve("out.img.part");
      try (LinuxFile other = LinuxFile.open(part, LinuxFile.Access.READ_WRITE)) {
        assertThrows(
            ImageInUseException.class, () -> ImageLock.acquire(other, LinuxFile.Access.READ_WRITE));
      }
      for (PullOptions.Resume resume : PullOptions.Resume.values()) {
        Pull second = new Pull(served.uri(), options(resume, 0), Progress.none());
        CommandFailure failure = assertThrows(CommandFailure.class, second::run);
        assertEquals(ExitCode.BUSY, failure.code());
        assertTrue(Messages.of(failure).contains("another pull"), Messages.of(failure));
      }
      export.release();
      assertTrue(running.join().resumedBytes() > 0);
    }
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
    assertOnlyFiles("out.img");
  }

  @Test
  void aServerThatComesBackIsReadOn() throws IOException {
    byte[] image = image();
    ImageExport export = export(image);
    export.holdFromBytes = 16 << 20;
    Served first = new Served(export, directory);
    Pull pull = new Pull(first.uri(), options(PullOptions.Resume.NO, 60), Progress.none());
    CompletableFuture<PullSummary> running = start(pull);
    Awaitility.await().until(() -> export.readBytes.get() >= 12 << 20);
    first.abort();
    export.release();
    try (Served _ = new Served(export, directory)) {
      PullSummary _ = running.join();
    }
    assertArrayEquals(image, Files.readAllBytes(directory.resolve("out.img")));
  }

  @Test
  void withoutADelayABrokenConnectionIsAFailure() throws IOException {
    ImageExport export = export(image());
    export.holdFromBytes = 16 << 20;
    Served first = new Served(export, directory);
    Pull pull = new Pull(first.uri(), options(PullOptions.Resume.NO, 0), Progress.none());
    CompletableFuture<PullSummary> running = start(pull);
    Awaitility.await().until(() -> export.readBytes.get() >= 12 << 20);
    first.abort();
    export.release();
    assertThrows(java.util.concurrent.CompletionException.class, running::join);
    assertOnlyFiles();
  }

  private static CompletableFuture<PullSummary> start(Pull pull) {
    CompletableFuture<PullSummary> running = new CompletableFuture<>();
    Thread.ofPlatform()
        .start(
            () -> {
              try {
                running.complete(pull.run());
              } catch (IOException e) {
                running.completeExceptionally(e);
              }
            });
    return running;
  }

  private static ImageExport export(byte[] image) {
    ImageExport export = new ImageExport(image, List.of(ExportInfo.BASE_ALLOCATION));
    export.description = "snapshot nightly of disk vda, frozen at some time";
    return export;
  }

  private PullSummary pull(ImageExport export) throws IOException {
    return pull(export, options(PullOptions.Resume.YES, 0));
  }

  private PullSummary pull(ImageExport export, PullOptions options) throws IOException {
    try (Served served = new Served(export, directory)) {
      return new Pull(served.uri(), options, Progress.none()).run();
    }
  }

  private PullOptions options(PullOptions.Resume resume, int reconnectSeconds) {
    return new PullOptions(
        directory.resolve("out.img").toString(),
        false,
        PullTarget.Sync.NONE,
        OptionalInt.of(2),
        resume,
        Duration.ofSeconds(reconnectSeconds),
        Optional.empty());
  }

  private void assertOnlyFiles(String... names) throws IOException {
    try (var files = Files.list(directory)) {
      assertEquals(
          List.of(names),
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> !name.endsWith(".sock"))
              .sorted()
              .toList());
    }
  }

  /// A server of one export.
  private record Served(NbdServer server) implements AutoCloseable {
    Served(ImageExport export, Path directory) throws IOException {
      this(
          NbdServer.start(
              new ServerConfig(
                  List.of(new ServerConfig.Listen.Unix(directory.resolve("nbd.sock"))),
                  ServerLimits.defaults()),
              export));
    }

    NbdUri uri() {
      return server.uris().getFirst().withExportName("vda@nightly");
    }

    /// Does not wait for what is in flight.
    void abort() {
      server.close(Duration.ZERO);
    }

    @Override
    public void close() {
      server.close(Duration.ofSeconds(5));
    }
  }
}
