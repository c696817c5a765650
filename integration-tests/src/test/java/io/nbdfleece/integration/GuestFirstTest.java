// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// What happens before there is no room left for old data: it is told, guests are slowed down, room
/// is added; and what a snapshot that may only take so much does to a guest.
@Timeout(120)
final class GuestFirstTest {
  private static final int SIZE_BYTES = 32 << 20;
  private static final int BLOCK_BYTES = 64 << 10;

  @TempDir private Path directory;

  @Test
  void roomThatFillsUpIsToldSlowsTheGuestAndGrowsWhileItIsInUse() throws Exception {
    byte[] old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 1);
    try (PackagedServer server = server("--ram", "1M", "--scratch-limit", "4M").start();
        NbdClient guest = server.connect("vda");
        ControlSocket events = server.control()) {
      JsonNode _ = server.snapshot("nightly");
      overwrite(guest, 0, 60);
      assertEquals(70, events.awaitEvent("X_NBDFLEECE_STORE_FILLING").path("percent").asInt());
      assertEquals(0, server.disk().path("slowed-writes").asInt());
      JsonNode larger = server.run("cache-resize", "--scratch-limit", "12M").succeeds().json();
      assertEquals(12 << 20, larger.path("disk_bytes_max").asInt());
      overwrite(guest, 60, 180);
      for (int percent : new int[] {70, 80}) {
        JsonNode told = events.awaitEvent("X_NBDFLEECE_STORE_FILLING");
        assertEquals(percent, told.path("percent").asInt());
        assertEquals(13 << 20, told.path("capacity-bytes").asInt());
      }
      assertTrue(server.disk().path("slowed-writes").asInt() > 0);
      Command.Result _ =
          server
              .run("cache-resize", "--scratch-limit", "1M")
              .exits(1)
              .says("the disk tier holds", "release a snapshot");
      JsonNode _ =
          server.run("cache-resize", "--ram", "2M", "--scratch-limit", "40M").succeeds().json();
      overwrite(guest, 180, SIZE_BYTES / BLOCK_BYTES);
      assertEquals(0, server.disk().path("write-errors").asInt());
      try (NbdClient backup = server.connect("vda@nightly")) {
        assertArrayEquals(old, Images.read(backup, 0, SIZE_BYTES));
      }
    }
  }

  @Test
  void aSnapshotThatMayTakeOnlySoMuchTellsThatAndBreaksAndTheGuestGoesOn() throws Exception {
    byte[] _ = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 1);
    try (PackagedServer server = server("--write-budget", "1h").start();
        NbdClient guest = server.connect("vda");
        ControlSocket events = server.control()) {
      JsonNode taken =
          server.run("snapshot", "--name", "small", "--max-preserved", "1M").succeeds().json();
      assertEquals(1 << 20, taken.path("max_preserved").asInt());
      overwrite(guest, 0, 16);
      JsonNode near = events.awaitEvent("X_NBDFLEECE_SNAPSHOT_NEAR_LIMIT");
      assertEquals("max-preserved", near.path("limit").asString());
      assertEquals(1 << 20, near.path("max").asInt());
      assertFalse(server.snapshotDisk("small").has("broken-because"));
      overwrite(guest, 16, 32);
      JsonNode broken = events.awaitEvent("X_NBDFLEECE_SNAPSHOT_BROKEN");
      assertTrue(broken.path("reason").asString().contains("max-preserved"), broken::toString);
      assertEquals(0, server.disk().path("write-errors").asInt());
      assertEquals("normal", server.disk().path("write-budget").asString());
      server.release("small");
    }
  }

  private PackagedServer.Setup server(String... options) {
    return PackagedServer.in(directory).disk("vda", directory.resolve("vda.img")).with(options);
  }

  private static void overwrite(NbdClient guest, int from, int end) throws IOException {
    for (int cluster = from; cluster < end; cluster++) {
      Images.write(guest, (long) cluster * BLOCK_BYTES, Images.filled(BLOCK_BYTES, 0xee));
    }
  }
}
