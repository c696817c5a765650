// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Against our own server, over a real socket.
@Timeout(60)
final class PullTest {
  private static final int SIZE_BYTES = (24 << 20) + 512;
  private static final long SEED = 20261121;

  @TempDir Path directory = Path.of("");

  /// Data and holes in turn, of many lengths, with zeroes within data.
  private static byte[] image() {
    Random random = new Random(SEED);
    byte[] image = new byte[SIZE_BYTES];
    for (int at = 0; at < SIZE_BYTES; ) {
      int end = Math.min(SIZE_BYTES, at + (1 + random.nextInt(40)) * 4096);
      if (random.nextBoolean()) {
        for (int i = at; i < end; i++) {
          image[i] = (byte) random.nextInt();
        }
      }
      at = end;
    }
    return image;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4})
  void theFileIsTheImage(int connections) throws IOException {
    byte[] image = image();
    ImageExport export = new ImageExport(image, List.of(ExportInfo.BASE_ALLOCATION));
    Path file = directory.resolve("out.img");
    PullSummary summary = pull(export, options(file, false, connections));
    assertArrayEquals(image, Files.readAllBytes(file));
    assertEquals(export.readBytes.get(), summary.dataBytes());
    assertTrue(summary.dataBytes() < SIZE_BYTES, "holes were read");
    assertOnlyFiles("out.img");
  }

  @Test
  void withoutBlockStatusTheFileIsSparseAllTheSame() throws IOException {
    byte[] image = new byte[SIZE_BYTES];
    image[5 << 20] = 1;
    Path file = directory.resolve("out.img");
    pull(new ImageExport(image, List.of()), options(file, false, 1));
    assertArrayEquals(image, Files.readAllBytes(file));
    // Blocks of 512 bytes, stat(2). Seen through du, as Java does not tell.
    Process du = new ProcessBuilder("du", "-B1", file.toString()).start();
    String usedBytes =
        new String(du.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.US_ASCII)
            .split("\t", 2)[0];
    assertTrue(Long.parseLong(usedBytes) < 1 << 20, "used " + usedBytes);
  }

  @Test
  void aStreamGetsEverythingInOrder() throws IOException {
    byte[] image = image();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    ImageExport export = new ImageExport(image, List.of(ExportInfo.BASE_ALLOCATION));
    try (Served served = new Served(export, directory);
        PullConnections connections =
            PullConnections.open(served.uri("vda@nightly"), OptionalInt.of(4))) {
      StreamTarget target = new StreamTarget(Channels.newChannel(bytes), "test");
      new PullLoop(connections, target, Progress.none(), "x", System.nanoTime(), Duration.ZERO)
          .run();
    }
    assertArrayEquals(image, bytes.toByteArray());
  }

  @Test
  void aStreamThatTakesNoMoreIsNamed() throws IOException {
    try (FileChannel full = FileChannel.open(Path.of("/dev/full"), StandardOpenOption.WRITE)) {
      StreamTarget target = new StreamTarget(full, "standard output");
      for (Executable writing :
          List.<Executable>of(
              () -> target.data(0, ByteBuffer.allocate(512)), () -> target.zeroes(0, 512))) {
        IOException error = assertThrows(IOException.class, writing);
        assertEquals(
            "standard output: No space left on device: what has been written there is not all:"
                + " start over",
            error.getMessage());
      }
    }
  }

  /// Behind the end of what any file system can hold, as behind the end of a full one.
  @Test
  void aFileThatCannotBeWrittenIsNamed() throws IOException {
    Path file = directory.resolve("out.img");
    SparseFileTarget target = SparseFileTarget.create(file, 4096);
    byte[] data = {1, 2, 3, 4};
    IOException error =
        assertThrows(
            IOException.class, () -> target.data(Long.MAX_VALUE - 2, ByteBuffer.wrap(data)));
    String text = Messages.of(error);
    assertTrue(text.startsWith(file + ".part: "), text);
    assertTrue(text.endsWith(": make room there, or name a FILE elsewhere"), text);
    target.discard();
    assertInstanceOf(
        ClosedChannelException.class,
        assertThrows(IOException.class, () -> target.data(0, ByteBuffer.wrap(data))));
  }

  @Test
  void aBrokenSnapshotEndsWithItsOwnCodeAndLeavesNoFile() throws IOException {
    ImageExport export = new ImageExport(image(), List.of(ExportInfo.BASE_ALLOCATION));
    export.failFromBytes = 8 << 20;
    export.failure = "snapshot nightly is broken and yields no data any more: scratch full";
    Path file = directory.resolve("out.img");
    CommandFailure failure =
        assertThrows(CommandFailure.class, () -> pull(export, options(file, false, 4)));
    assertEquals(ExitCode.SNAPSHOT_BROKEN, failure.code());
    String text = Messages.of(failure);
    assertTrue(text.startsWith("vda@nightly at offset "), text);
    assertTrue(
        text.contains("snapshot nightly is broken and yields no data any more: scratch full"),
        text);
    assertTrue(text.contains("EIO"), text);
    assertOnlyFiles();
  }

  /// nbdcopy once ended with success and zeroes where the data could not be read (CVE-2022-0485).
  @Test
  void cve2022v0485ReadErrorIsAFailureAndLeavesNoFile() throws IOException {
    ImageExport export = new ImageExport(image(), List.of());
    export.failFromBytes = 1;
    export.failure = "cannot read";
    CommandFailure failure =
        assertThrows(
            CommandFailure.class, () -> pull(export, options(directory.resolve("o"), false, 1)));
    assertEquals(ExitCode.FAILED, failure.code());
    assertOnlyFiles();
  }

  @Test
  void anExistingFileStaysUnlessForced() throws IOException {
    byte[] image = image();
    Path file = Files.writeString(directory.resolve("out.img"), "precious");
    ImageExport export = new ImageExport(image, List.of());
    CommandFailure failure =
        assertThrows(CommandFailure.class, () -> pull(export, options(file, false, 1)));
    assertEquals(ExitCode.BUSY, failure.code());
    assertEquals("precious", Files.readString(file));
    export.failFromBytes = 8 << 20;
    assertThrows(CommandFailure.class, () -> pull(export, options(file, true, 1)));
    assertEquals("precious", Files.readString(file), "a failed pull replaced it");
    export.failFromBytes = Long.MAX_VALUE;
    pull(export, options(file, true, 1));
    assertArrayEquals(image, Files.readAllBytes(file));
  }

  @ParameterizedTest
  @CsvSource({"out.img, NO, false", "out.img, YES, false", "out.img, NO, true", "d.map, NO, true"})
  void aLinkToNothingStaysOne(String name, PullOptions.Resume resume, boolean delta)
      throws IOException {
    Path gone = directory.resolve("unmounted/out.img");
    Path link = Files.createSymbolicLink(directory.resolve(name), gone);
    PullOptions options =
        new PullOptions(
            directory.resolve(name.replace(".map", "")).toString(),
            true,
            PullTarget.Sync.NONE,
            OptionalInt.empty(),
            resume,
            Duration.ZERO,
            Optional.empty(),
            delta ? Optional.of(new PullOptions.Since(Optional.empty())) : Optional.empty());
    CommandFailure failure =
        assertThrows(
            CommandFailure.class, () -> pull(new ImageExport(image(), List.of()), options));
    assertEquals(ExitCode.NOT_FOUND, failure.code());
    assertEquals(
        link
            + ": link leads to "
            + gone
            + ", which does not exist: mount the file system that it is on, or remove the link",
        Messages.of(failure));
    assertTrue(Files.isSymbolicLink(link));
  }

  @Test
  void whatAKilledPullLeftBehindIsTakenOver() throws IOException {
    Files.write(directory.resolve("out.img.part"), new byte[SIZE_BYTES + 1]);
    Path file = directory.resolve("out.img");
    byte[] image = new byte[1 << 20];
    pull(new ImageExport(image, List.of(ExportInfo.BASE_ALLOCATION)), options(file, false, 1));
    assertArrayEquals(image, Files.readAllBytes(file));
    assertOnlyFiles("out.img");
  }

  @Test
  void aSecondPullToTheSameFileIsRefused() throws IOException {
    Path file = directory.resolve("out.img");
    SparseFileTarget first = SparseFileTarget.create(file, 4096);
    CommandFailure failure =
        assertThrows(CommandFailure.class, () -> SparseFileTarget.create(file, 4096));
    assertEquals(ExitCode.BUSY, failure.code());
    first.discard();
    assertOnlyFiles();
  }

  @Test
  void anEmptyExportMakesAnEmptyFile() throws IOException {
    Path file = directory.resolve("out.img");
    pull(
        new ImageExport(new byte[0], List.of(ExportInfo.BASE_ALLOCATION)), options(file, false, 1));
    assertEquals(0, Files.size(file));
  }

  @Test
  void anUnknownExportIsNotFound() throws IOException {
    try (Served served = new Served(new ImageExport(new byte[512], List.of()), directory)) {
      Pull pull =
          new Pull(served.uri("vdz"), options(directory.resolve("o"), false, 1), Progress.none());
      CommandFailure failure = assertThrows(CommandFailure.class, pull::run);
      assertEquals(ExitCode.NOT_FOUND, failure.code());
      assertTrue(
          Messages.of(failure)
              .contains(
                  "the server has no export \"vdz\" (the server says: no export named \"vdz\")"),
          Messages.of(failure));
    }
  }

  @Test
  void aServerThatIsNotThereIsUnreachable() {
    Pull pull =
        new Pull(
            new NbdUri.Unix(directory.resolve("none.sock"), "x"),
            options(directory.resolve("o"), false, 1),
            Progress.none());
    assertEquals(ExitCode.UNREACHABLE, assertThrows(CommandFailure.class, pull::run).code());
  }

  @Test
  void aFullCopyThatStartsACheckpointNotesIt() throws IOException {
    ImageExport export = new ImageExport(image(), List.of(ExportInfo.BASE_ALLOCATION));
    String snapshot = "snapshot s of disk vda, frozen 2026-11-21T03:12:44.5Z";
    String starts = ", starts c1 (2026-11-21T03:12:44.4Z)";
    Path file = directory.resolve("out.img");
    export.description = snapshot + starts;
    pull(export, options(file, false, 1));
    assertOnlyFiles("out.img", "out.img.point");
    String noted = Files.readString(directory.resolve("out.img.point"));
    assertTrue(noted.contains("\"checkpoint c1\",\"instant\":\"2026-11-21T03:12:44.4"), noted);
    // What is no full copy, or starts no checkpoint, takes what was noted away.
    for (String other : List.of(snapshot + starts + ", zero outside", snapshot, "other")) {
      export.description = snapshot + starts;
      pull(export, options(file, true, 1));
      assertOnlyFiles("out.img", "out.img.point");
      export.description = other;
      pull(export, options(file, true, 1));
      assertOnlyFiles("out.img");
    }
    Files.writeString(directory.resolve("out.img.point"), "mine");
    export.description = snapshot + starts;
    pull(export, options(file, true, 1));
    assertEquals("mine", Files.readString(directory.resolve("out.img.point")));
  }

  @Test
  void aPointThatCannotBeRemovedIsFoundBeforeTheCopyStarts() throws IOException {
    ImageExport export = new ImageExport(image(), List.of(ExportInfo.BASE_ALLOCATION));
    Path point = Files.createDirectory(directory.resolve("out.img.point"));
    Path file = directory.resolve("out.img");
    CommandFailure failure =
        assertThrows(CommandFailure.class, () -> pull(export, options(file, false, 1)));
    assertTrue(Messages.of(failure).startsWith(point + ": is a directory, "), Messages.of(failure));
    assertTrue(Messages.of(failure).endsWith("move it away"), Messages.of(failure));
    assertEquals(0, export.readBytes.get());
    assertOnlyFiles("out.img.point");
  }

  private PullSummary pull(ImageExport export, PullOptions options) throws IOException {
    try (Served served = new Served(export, directory)) {
      return new Pull(served.uri("vda@nightly"), options, Progress.none()).run();
    }
  }

  private static PullOptions options(Path file, boolean force, int connections) {
    return new PullOptions(
        file.toString(),
        force,
        PullTarget.Sync.NONE,
        OptionalInt.of(connections),
        PullOptions.Resume.NO,
        Duration.ZERO,
        Optional.empty());
  }

  private void assertOnlyFiles(String... names) throws IOException {
    try (var files = Files.list(directory)) {
      assertEquals(
          List.of(names), files.map(file -> file.getFileName().toString()).sorted().toList());
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

    NbdUri uri(String exportName) {
      return server.uris().getFirst().withExportName(exportName);
    }

    @Override
    public void close() {
      server.close(Duration.ofSeconds(5));
    }
  }
}
