// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// What users see when they are wrong, or the machine is: an exit code from the table and a text
/// that names what, where and what to do.
@Timeout(120)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CommandLineTest {
  private Path directory = Path.of("");
  private Path image = Path.of("");
  private PackagedServer server;

  @BeforeAll
  void start(@TempDir Path directory) throws IOException {
    this.directory = directory;
    image = Images.sparse(directory.resolve("vda.img"), 8 << 20);
    Path second = Images.sparse(directory.resolve("vdb.img"), 8 << 20);
    server = PackagedServer.in(directory).disk("vda", image).disk("vdb", second).start();
  }

  @AfterAll
  void stop() {
    server.close();
  }

  @Test
  void wrongOptionIsAUsageError() throws IOException {
    Command.Result _ = serve("--no-such-option").exits(64).says("--no-such-option", "--help");
  }

  @Test
  void wrongSizeIsAUsageError() throws IOException {
    Command.Result _ = serve("--ram", "lots", image.toString()).exits(64).says("--ram", "lots");
  }

  @Test
  void nothingToServeIsAUsageError() throws IOException {
    Command.Result _ = serve().exits(64).says("disk");
  }

  @Test
  void clusterSizeThatIsNoPowerOfTwoIsAUsageError() throws IOException {
    Command.Result _ =
        serve("--cluster-size", "100K", image.toString()).exits(64).says("cluster", "power of two");
  }

  @Test
  void missingFileIsNamed() throws IOException {
    Path missing = directory.resolve("missing.img");
    Command.Result _ = serve(missing.toString()).exits(10).says(missing.toString(), "no such file");
  }

  @Test
  void directoryIsNoDisk() throws IOException {
    Command.Result result = serve(directory.toString()).says(directory.toString());
    assertTrue(result.exitCode() != 0, result::toString);
  }

  @Test
  void diskThatAnotherServerHasIsBusy() throws IOException {
    Command.Result _ = serve(image.toString()).exits(11).says(image.toString());
  }

  @Test
  void diskThatQemuHasIsBusy() throws IOException {
    Path busy = Images.sparse(directory.resolve("busy.img"), 1 << 20);
    Path socket = directory.resolve("qemu.sock");
    Process qemu =
        new ProcessBuilder(
                Peer.QEMU_NBD.path(), "-t", "-f", "raw", "-k", socket.toString(), busy.toString())
            .start();
    try {
      Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> Files.exists(socket));
      Command.Result _ = serve(busy.toString()).exits(11).says(busy.toString());
    } finally {
      qemu.destroy();
      int _ = Command.await(qemu, List.of("qemu-nbd"));
    }
  }

  @Test
  void qemuSeesThatTheDiskIsInUse() throws IOException {
    Command.Result _ =
        Command.run(Peer.QEMU_IO.path(), "-f", "raw", "-c", "write 0 4k", image.toString())
            .exits(1)
            .says("lock");
  }

  @Test
  void takenPortIsNamed() throws IOException {
    Path free = Images.sparse(directory.resolve("free.img"), 1 << 20);
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      String port = Integer.toString(taken.getLocalPort());
      Command.Result _ = serve("--port", port, free.toString()).exits(11).says(port);
    }
  }

  @Test
  void socketThatAServerListensOnIsTaken() throws IOException {
    Path free = Images.sparse(directory.resolve("free2.img"), 1 << 20);
    Command.Result _ =
        serve("--unix", server.socket().toString(), free.toString())
            .exits(11)
            .says(server.socket().toString());
  }

  @Test
  void addressThatOthersCanReachIsRefused() throws IOException {
    Path free = Images.sparse(directory.resolve("free3.img"), 1 << 20);
    Command.Result _ =
        serve("--ipaddr", "0.0.0.0", free.toString()).exits(64).says("0.0.0.0", "--insecure");
  }

  @Test
  void missingScratchDirectoryIsNamed() throws IOException {
    Path free = Images.sparse(directory.resolve("free4.img"), 1 << 20);
    Path missing = directory.resolve("no/scratch");
    Command.Result _ =
        serve("--scratch", missing.toString(), free.toString())
            .exits(10)
            .says(missing.toString(), "scratch");
  }

  @Test
  void serverThatIsNotThereIsNamed() throws IOException {
    Path nowhere = directory.resolve("nowhere.sock");
    Command.Result _ =
        Command.run(Program.client("status", "--qmp", nowhere.toString()))
            .exits(69)
            .says(nowhere.toString(), "nbdfleece serve");
  }

  @Test
  void snapshotOfADiskThatIsNotThereIsNamed() throws IOException {
    Command.Result _ = server.run("snapshot", "vdz").exits(10).says("vdz");
  }

  @Test
  void snapshotNameThatIsTakenIsNamed() throws IOException {
    Command.Result _ = server.run("snapshot", "vdb", "--name", "taken").succeeds();
    Command.Result _ = server.run("snapshot", "vda", "--name", "taken").exits(11).says("taken");
    Command.Result _ = server.run("release", "taken").succeeds();
  }

  @Test
  void releaseOfASnapshotThatIsNotThereIsNamed() throws IOException {
    Command.Result _ = server.run("release", "gone").exits(10).says("gone");
  }

  @Test
  void pullOfAnExportThatIsNotThereIsNamed() throws IOException {
    Command.Result _ =
        server
            .run("pull", server.uri("vda@gone").toString(), directory.resolve("x").toString())
            .exits(10)
            .says("vda@gone");
    assertFalse(Files.exists(directory.resolve("x")));
  }

  @Test
  void pullDoesNotOverwriteAFile() throws IOException {
    Path target = Files.writeString(directory.resolve("precious"), "precious");
    Command.Result _ =
        server
            .run("pull", server.uri("vda").toString(), target.toString())
            .exits(11)
            .says(target.toString(), "--force");
    assertEquals("precious", Files.readString(target));
  }

  @Test
  void interruptedPullEndsWith130AndLeavesNothingBehind() throws Exception {
    interruptPull();
  }

  @Test
  void soDoesOneOfWhatHasChanged() throws Exception {
    interruptPull("--since");
  }

  private void interruptPull(String... options) throws Exception {
    // The export behind the URI answers no read, so the pull is under way when it is interrupted.
    Path target = directory.resolve("interrupted.img");
    try (HeldReads held = HeldReads.start(directory.resolve("held.sock"), 1000)) {
      List<String> command =
          new ArrayList<>(Program.client("pull", held.uri().toString(), target.toString()));
      command.addAll(List.of(options));
      Process pull = new ProcessBuilder(command).redirectErrorStream(true).start();
      held.awaitReads(1);
      Command.Result _ = Command.run("kill", "-INT", Long.toString(pull.pid())).succeeds();
      assertEquals(130, Command.await(pull, List.of("pull")));
    }
    try (var left = Files.newDirectoryStream(directory, "interrupted*")) {
      assertFalse(left.iterator().hasNext());
    }
  }

  @Test
  void snapshotOfTwoDisksPrintsAUriForEach() throws IOException {
    JsonNode snapshot = server.run("snapshot", "vda", "vdb", "--name", "both").succeeds().json();
    assertEquals(2, snapshot.path("disks").size(), snapshot::toString);
    for (JsonNode disk : snapshot.path("disks")) {
      String uri = disk.path("uris").get(0).asString();
      Command.Result size = Command.run(Peer.NBDINFO.path(), "--size", uri).succeeds();
      assertEquals("8388608", size.out().strip());
    }
    JsonNode status = server.run("status").succeeds().json();
    assertEquals(1, status.path("snapshots").size(), status::toString);
    Command.Result _ = server.run("list").succeeds();
    Command.Result _ = server.run("release", "both").succeeds();
  }

  @Test
  void oneWordServesADiskOnTheStandardPort() throws Exception {
    // Its own port, in case somebody uses 10809 here; everything else is what users get.
    Path disk = Images.sparse(directory.resolve("disk.img"), 1 << 20);
    Process serve =
        new ProcessBuilder(
                Program.serve(
                    "--port",
                    "0",
                    "--qmp",
                    directory.resolve("q2.sock").toString(),
                    "--json",
                    disk.toString()))
            .start();
    try {
      String ready = serve.inputReader().readLine();
      String uri =
          Command.parse(String.valueOf(ready)).path("disks").get(0).path("uris").get(0).asString();
      assertTrue(uri.startsWith("nbd://127.0.0.1:") && uri.endsWith("/disk"), uri);
      try (NbdClient client = NbdClient.connect(NbdUri.parse(uri), List.of())) {
        assertEquals(1 << 20, client.info().sizeBytes());
      }
    } finally {
      serve.destroy();
    }
    assertEquals(0, Command.await(serve, List.of("serve")));
  }

  @Test
  void killedServerCanBeStartedAgainAtOnce() throws Exception {
    Path place = Files.createDirectory(directory.resolve("again"));
    Path disk = Images.sparse(place.resolve("vda.img"), 1 << 20);
    PackagedServer first = PackagedServer.in(place).disk("vda", disk).start();
    JsonNode _ = first.snapshot("lost");
    first.kill();
    try (PackagedServer second = PackagedServer.in(place).disk("vda", disk).start()) {
      JsonNode status = second.run("status").succeeds().json();
      assertEquals(0, status.path("snapshots").size(), status::toString);
    }
  }

  private Command.Result serve(String... arguments) throws IOException {
    return Command.run(
        Command.join(
            Program.serve(arguments), "--qmp", directory.resolve("other.sock").toString()));
  }
}
