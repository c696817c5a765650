// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Somebody cuts the disk's file while it is served. What is gone is EIO, for guest and snapshot,
/// and never zeroes; the rest goes on.
@Timeout(120)
final class CutDiskTest {
  private static final int CLUSTER_BYTES = 16 << 10;
  private static final int CLUSTERS = 32;
  private static final int CUT = CLUSTERS / 2;

  @TempDir private Path directory;
  private Path image = Path.of("");
  private byte[] old = new byte[0];

  @BeforeEach
  void prepare() throws IOException {
    image = directory.resolve("vda.img");
    old = Images.random(image, CLUSTERS * CLUSTER_BYTES, 3);
  }

  @Test
  void readsBehindTheEndAreEioAndTheServerLives() throws Exception {
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start();
        NbdClient guest = server.connect("vda")) {
      cut();
      assertLost(guest, CUT + 4);
      assertArrayEquals(Arrays.copyOf(old, 4096), Images.read(guest, 0, 4096));
      assertTrue(server.isAlive());
    }
  }

  /// Large reads of what is in the page cache go from there to the socket.
  @Test
  void largeReadAcrossTheEndFailsAndIsNeverFilledUp() throws Exception {
    int length = 16 * CLUSTER_BYTES;
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start()) {
      try (NbdClient guest = server.connect("vda")) {
        byte[] _ = Images.read(guest, 0, CLUSTERS * CLUSTER_BYTES);
        cut();
        IOException _ =
            assertThrows(
                IOException.class, () -> Images.read(guest, (CUT - 8) * CLUSTER_BYTES, length));
      }
      try (NbdClient guest = server.connect("vda")) {
        assertArrayEquals(Arrays.copyOf(old, length), Images.read(guest, 0, length));
      }
    }
  }

  @Test
  void snapshotLosesWhatIsGoneAndNothingElse() throws Exception {
    try (PackagedServer server =
            PackagedServer.in(directory).disk("vda", image).with("--ram", "4M").start();
        ControlSocket events = server.control();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      Images.write(guest, (CUT + 1) * CLUSTER_BYTES, Images.filled(CLUSTER_BYTES, 0xee));
      cut();
      try (NbdClient backup = server.connect("vda@nightly")) {
        // Preserved before, and not touched by the cut.
        assertCluster(backup, CUT + 1);
        assertCluster(backup, CUT - 1);
        assertLost(backup, CUT);
        assertLost(backup, CLUSTERS - 1);
        // The guest's write goes through and makes the file longer again; the old content is lost.
        Images.write(guest, CUT * CLUSTER_BYTES, Images.filled(4096, 0x11));
        JsonNode lost = events.awaitEvent("X_NBDFLEECE_CLUSTER_LOST");
        assertEquals("vda", lost.path("disk").asString());
        assertLost(backup, CUT);
        assertCluster(backup, CUT - 1);
      }
      JsonNode status = server.snapshotDisk("nightly");
      assertFalse(status.has("broken-because"), status::toString);
      assertTrue(status.path("lost-bytes").asLong() >= CLUSTER_BYTES, status::toString);
      assertArrayEquals(new byte[] {0x11}, Images.read(guest, CUT * CLUSTER_BYTES + 4095, 1));
      assertEquals(0, server.disk().path("write-errors").asInt());
    }
  }

  /// What lies between the cut and the write reads as zeroes from the file, and nobody wrote them.
  @Test
  void whatAGuestsWriteBehindTheCutLeavesOpenIsEioAndTheOperatorIsTold() throws Exception {
    try (PackagedServer server = PackagedServer.in(directory).disk("vda", image).start();
        ControlSocket events = server.control();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      cut();
      Images.write(guest, (CLUSTERS - 1) * CLUSTER_BYTES, Images.filled(CLUSTER_BYTES, 0x11));
      assertEquals(CLUSTERS * CLUSTER_BYTES, Files.size(image));
      assertLost(guest, CUT);
      assertLost(guest, CLUSTERS - 2);
      assertEquals(0x11, Images.read(guest, CLUSTERS * CLUSTER_BYTES - 1, 1)[0]);
      assertArrayEquals(Arrays.copyOf(old, 4096), Images.read(guest, 0, 4096));
      try (NbdClient backup = server.connect("vda@nightly")) {
        assertCluster(backup, CUT - 1);
        assertLost(backup, CUT);
        assertLost(backup, CLUSTERS - 1);
      }
      JsonNode told = events.awaitEvent("X_NBDFLEECE_DISK_DAMAGED");
      assertEquals("vda", told.path("disk").asString());
      assertTrue(told.path("reason").asString().contains("truncated"), told::toString);
      assertTrue(server.disk().path("damage").asString().contains("restore"));
      assertTrue(server.log().contains("disk vda is damaged"), server.log());
    }
  }

  private void cut() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
      file.setLength((long) CUT * CLUSTER_BYTES);
    }
  }

  private void assertCluster(NbdClient client, int cluster) throws IOException {
    int offset = cluster * CLUSTER_BYTES;
    assertArrayEquals(
        Arrays.copyOfRange(old, offset, offset + CLUSTER_BYTES),
        Images.read(client, offset, CLUSTER_BYTES),
        () -> "cluster " + cluster);
  }

  private static void assertLost(NbdClient client, int cluster) {
    NbdException _ =
        Images.refused(
            NbdError.EIO,
            client.read((long) cluster * CLUSTER_BYTES, ByteBuffer.allocateDirect(4096)));
  }
}
