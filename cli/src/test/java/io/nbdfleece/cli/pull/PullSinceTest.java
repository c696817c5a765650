// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.delta.Apply;
import io.nbdfleece.cli.delta.DeltaExtent;
import io.nbdfleece.cli.delta.DeltaMap;
import io.nbdfleece.nbd.NbdUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Against bitmaps in qcow2 images that qemu-nbd exports.
@Timeout(120)
final class PullSinceTest {
  private Path image = Path.of("");

  @TempDir Path directory = Path.of("");

  @BeforeEach
  void create() throws Exception {
    for (String tool : List.of("qemu-nbd", "qemu-img", "qemu-io", "qemu-storage-daemon")) {
      Assumptions.assumeTrue(
          Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":", -1))
              .anyMatch(place -> Files.isExecutable(Path.of(place, tool))),
          tool + " is not installed: apt-get install qemu-utils qemu-system-common");
    }
    image = directory.resolve("disk.qcow2");
    run("qemu-img", "create", "-q", "-f", "qcow2", image.toString(), "8M");
    io("write -P 1 0 3M", "write -P 2 5M 64k");
    run("qemu-img", "bitmap", "--add", image.toString(), "b1");
  }

  @Test
  void theFullBackupAndTheDeltaAreTheDisk() throws Exception {
    Path restored = directory.resolve("restored.img");
    run("qemu-img", "convert", "-O", "raw", image.toString(), restored.toString());
    io("write -P 7 64k 64k", "write -P 8 4M 128k", "write -z 1M 512k", "write -P 9 8191k 1k");
    run("qemu-img", "bitmap", "--disable", image.toString(), "b1");
    Path delta = directory.resolve("inc1.delta");
    PullSummary summary;
    try (Served qemu = qemuNbd("-r", "-B", "b1")) {
      summary = pull(qemu.uri(), delta, false, Optional.of("b1"));
    }
    long changedBytes = (64 + 128 + 512 + 64) << 10;
    assertEquals((8 << 20) - changedBytes, summary.unchangedBytes());
    assertEquals(changedBytes - (512 << 10), summary.dataBytes());
    assertEquals(512 << 10, summary.zeroBytes());
    DeltaMap map = DeltaMap.read(DeltaMap.pathOf(delta));
    assertEquals("b1", map.source().bitmap());
    assertEquals(8 << 20, map.source().sizeBytes());
    assertTrue(map.extents().stream().anyMatch(DeltaExtent::isZero), map.toString());
    assertEquals(8 << 20, Files.size(delta));
    List<String> warnings = new ArrayList<>();
    Apply.Summary _ = new Apply(List.of(delta), restored, Apply.Fit.CHECKED).run(warnings::add);
    assertTrue(warnings.getFirst().contains("does not tell where it begins"), warnings.toString());
    Path expected = directory.resolve("expected.img");
    run("qemu-img", "convert", "-O", "raw", image.toString(), expected.toString());
    assertArrayEquals(Files.readAllBytes(expected), Files.readAllBytes(restored));
    assertFalse(Files.exists(directory.resolve("inc1.delta.part")));
    assertFalse(Files.exists(directory.resolve("inc1.delta.map.part")));
  }

  @Test
  void theOnlyBitmapNeedsNoName() throws Exception {
    io("write -P 7 64k 64k");
    run("qemu-img", "bitmap", "--disable", image.toString(), "b1");
    Path delta = directory.resolve("inc1.delta");
    try (Served qemu = qemuNbd("-r", "-B", "b1")) {
      assertEquals(64 << 10, pull(qemu.uri(), delta, false, Optional.empty()).dataBytes());
      CommandFailure taken =
          assertThrows(
              CommandFailure.class, () -> pull(qemu.uri(), delta, false, Optional.empty()));
      assertEquals(ExitCode.BUSY, taken.code());
      assertEquals(64 << 10, pull(qemu.uri(), delta, true, Optional.empty()).dataBytes());
    }
    assertEquals("b1", DeltaMap.read(DeltaMap.pathOf(delta)).source().bitmap());
  }

  /// QEMU refuses to tell the status, or to read, where such an export is clean.
  @Test
  void anIncrementalSnapshotOfQemuIsPulled() throws Exception {
    Path restored = directory.resolve("restored.img");
    run("qemu-img", "convert", "-O", "raw", image.toString(), restored.toString());
    io("write -P 7 64k 64k", "write -z 1M 512k");
    run("qemu-img", "bitmap", "--disable", image.toString(), "b1");
    Path delta = directory.resolve("inc1.delta");
    try (Served daemon = storageDaemon()) {
      PullSummary summary = pull(daemon.uri(), delta, false, Optional.of("b1"));
      assertEquals((8 << 20) - (576 << 10), summary.unchangedBytes());
    }
    assertTrue(
        DeltaMap.read(DeltaMap.pathOf(delta)).extents().stream().anyMatch(DeltaExtent::isZero));
    List<String> warnings = new ArrayList<>();
    Apply.Summary _ = new Apply(List.of(delta), restored, Apply.Fit.CHECKED).run(warnings::add);
    assertTrue(warnings.getFirst().contains("does not tell where it begins"), warnings.toString());
    Path expected = directory.resolve("expected.img");
    run("qemu-img", "convert", "-O", "raw", image.toString(), expected.toString());
    assertArrayEquals(Files.readAllBytes(expected), Files.readAllBytes(restored));
  }

  @Test
  void nothingThatHasChangedIsAnEmptyDelta() throws Exception {
    run("qemu-img", "bitmap", "--disable", image.toString(), "b1");
    Path delta = directory.resolve("inc1.delta");
    try (Served qemu = qemuNbd("-r", "-B", "b1")) {
      assertEquals(8 << 20, pull(qemu.uri(), delta, false, Optional.empty()).unchangedBytes());
    }
    assertEquals(List.of(), DeltaMap.read(DeltaMap.pathOf(delta)).extents());
  }

  @Test
  void withoutSuchABitmapNothingIsWritten() throws Exception {
    Path delta = directory.resolve("inc1.delta");
    try (Served qemu = qemuNbd("-r")) {
      CommandFailure none =
          assertThrows(
              CommandFailure.class, () -> pull(qemu.uri(), delta, false, Optional.empty()));
      assertEquals(ExitCode.NOT_FOUND, none.code());
      assertTrue(Messages.of(none).contains("has no dirty bitmap: "), Messages.of(none));
    }
    try (var files = Files.list(directory)) {
      assertEquals(List.of(image), files.toList());
    }
  }

  private static PullSummary pull(NbdUri uri, Path file, boolean force, Optional<String> bitmap)
      throws IOException {
    return new Pull(
            uri,
            new PullOptions(
                file.toString(),
                force,
                PullTarget.Sync.FSYNC,
                OptionalInt.empty(),
                PullOptions.Resume.NO,
                Duration.ZERO,
                Optional.empty(),
                Optional.of(new PullOptions.Since(bitmap))),
            Progress.none())
        .run();
  }

  private void io(String... commands) throws Exception {
    List<String> command = new ArrayList<>(List.of("qemu-io"));
    for (String one : commands) {
      command.addAll(List.of("-c", one));
    }
    command.add(image.toString());
    run(command.toArray(new String[0]));
  }

  private static void run(String... command) throws Exception {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, process.waitFor(), () -> String.join(" ", command) + ": " + output);
  }

  /// An export of the image, on a socket of its own.
  private static final class Served implements AutoCloseable {
    private final Path socket;
    private final String export;
    private final Process process;

    Served(Path socket, String export, List<String> command) throws IOException {
      this.socket = socket;
      this.export = export;
      process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      Awaitility.await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> Files.exists(socket) || !process.isAlive());
    }

    NbdUri uri() {
      return new NbdUri.Unix(socket, export);
    }

    @Override
    public void close() throws IOException {
      process.destroy();
      Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> !process.isAlive());
      boolean _ = Files.deleteIfExists(socket);
    }
  }

  private Path socket() {
    return directory.resolveSibling("q" + System.nanoTime() + ".sock");
  }

  private Served qemuNbd(String... options) throws IOException {
    Path socket = socket();
    List<String> command = new ArrayList<>(List.of("qemu-nbd", "-t", "-f", "qcow2", "-e", "4"));
    command.addAll(List.of("-k", socket.toString()));
    command.addAll(List.of(options));
    command.add(image.toString());
    return new Served(socket, "", command);
  }

  /// What QEMU's documentation calls fleecing, with the bitmap b1.
  private Served storageDaemon() throws Exception {
    Path socket = socket();
    Path target = directory.resolve("target.img");
    run("qemu-img", "create", "-q", "-f", "raw", target.toString(), "8M");
    List<String> command =
        List.of(
            "qemu-storage-daemon",
            "--blockdev",
            "driver=file,node-name=f,filename=" + image,
            "--blockdev",
            "driver=qcow2,node-name=d,file=f",
            "--blockdev",
            "driver=file,node-name=t,filename=" + target,
            "--blockdev",
            "{\"driver\":\"copy-before-write\",\"node-name\":\"cbw\",\"file\":\"d\","
                + "\"target\":\"t\",\"bitmap\":{\"node\":\"d\",\"name\":\"b1\"}}",
            "--blockdev",
            "driver=snapshot-access,node-name=sa,file=cbw",
            "--nbd-server",
            "addr.type=unix,max-connections=8,addr.path=" + socket,
            "--export",
            "{\"type\":\"nbd\",\"id\":\"e\",\"node-name\":\"sa\",\"name\":\"x\","
                + "\"bitmaps\":[{\"node\":\"d\",\"name\":\"b1\"}]}");
    return new Served(socket, "x", command);
  }
}
