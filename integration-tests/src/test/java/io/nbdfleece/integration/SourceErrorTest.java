// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// A disk with sectors that cannot be read: nbdkit injects the errors, nbdfuse brings them into the
/// kernel, so that the packaged program meets real EIO.
@Timeout(120)
final class SourceErrorTest {
  private static final int CLUSTER_BYTES = 16 << 10;

  @TempDir private Path directory;

  @Test
  void clusterThatCannotBeReadIsLostToTheSnapshotAndHealedByTheGuest() throws Exception {
    Path failing = directory.resolve("failing");
    try (Nbdkit nbdkit = Nbdkit.start(directory, failing);
        FuseDisk disk = FuseDisk.mount(directory.resolve("vda.img"), nbdkit.uri());
        PackagedServer server = PackagedServer.in(directory).disk("vda", disk.file()).start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      Path _ = Files.createFile(failing);
      Images.write(guest, 4 * CLUSTER_BYTES, Images.filled(4096, 0xee));
      Files.delete(failing);
      try (NbdClient backup = server.connect("vda@nightly")) {
        JsonNode status = server.snapshotDisk("nightly");
        assertEquals(CLUSTER_BYTES, status.path("lost-bytes").asLong(), status::toString);
        assertFalse(status.has("broken-because"), status::toString);
        JsonNode lost = status.path("lost").path(0);
        assertEquals(4 * CLUSTER_BYTES, lost.path("offset").asLong(), status::toString);
        assertEquals(CLUSTER_BYTES, lost.path("length").asLong(), status::toString);
        NbdException refusal =
            Images.refused(
                NbdError.EIO, backup.read(4 * CLUSTER_BYTES, ByteBuffer.allocateDirect(512)));
        String text = String.valueOf(refusal.getMessage());
        assertTrue(text.contains("nightly") && text.contains("lost"), text);
        assertArrayEquals(
            new byte[CLUSTER_BYTES], Images.read(backup, 5 * CLUSTER_BYTES, CLUSTER_BYTES));
      }
      assertArrayEquals(new byte[] {(byte) 0xee}, Images.read(guest, 4 * CLUSTER_BYTES + 4095, 1));
    }
  }

  @Test
  void readErrorOfTheDiskIsEioToItsGuestAndNoMore() throws Exception {
    Path failing = directory.resolve("failing");
    try (Nbdkit nbdkit = Nbdkit.start(directory, failing);
        FuseDisk disk = FuseDisk.mount(directory.resolve("vda.img"), nbdkit.uri());
        PackagedServer server = PackagedServer.in(directory).disk("vda", disk.file()).start();
        NbdClient guest = server.connect("vda")) {
      Path _ = Files.createFile(failing);
      NbdException _ =
          Images.refused(
              NbdError.EIO, guest.read(8 * CLUSTER_BYTES, ByteBuffer.allocateDirect(4096)));
      Files.delete(failing);
      assertArrayEquals(new byte[4096], Images.read(guest, 32 * CLUSTER_BYTES, 4096));
    }
  }

  /// nbdkit with a disk in memory that cannot be read while a certain file exists.
  private record Nbdkit(Process process, Path socket) implements AutoCloseable {
    static Nbdkit start(Path directory, Path failing) throws IOException {
      Path socket = directory.resolve("nbdkit.sock");
      Process process =
          new ProcessBuilder(
                  List.of(
                      Peer.NBDKIT.path(),
                      "-f",
                      "-U",
                      socket.toString(),
                      "--filter=error",
                      "memory",
                      "16M",
                      "error=EIO",
                      "error-pread-rate=1",
                      "error-file=" + failing))
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      Awaitility.await().atMost(Duration.ofSeconds(20)).until(() -> Files.exists(socket));
      return new Nbdkit(process, socket);
    }

    NbdUri uri() {
      return new NbdUri.Unix(socket, "");
    }

    @Override
    public void close() {
      process.destroy();
      int _ = Command.await(process, List.of("nbdkit"));
    }
  }
}
