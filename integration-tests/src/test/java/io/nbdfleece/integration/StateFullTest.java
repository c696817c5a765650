// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The file system of the state directory is full. What is to be kept and has no room is refused,
/// what is kept already stays exact: its space was taken when it began.
@Timeout(120)
final class StateFullTest {
  private static final int SIZE_BYTES = 64 << 20;
  private static final int GRANULE_BYTES = 512;
  private static final int BITMAPS_MAX = 500;

  @TempDir private Path directory;

  @Test
  void bitmapThatHasNoRoomIsRefusedAndThoseThatAreThereGoOn() throws Exception {
    Path image = Images.sparse(directory.resolve("vda.img"), SIZE_BYTES);
    Path state = Files.createDirectory(directory.resolve("state"));
    try (PackagedServer server =
            PackagedServer.in(directory)
                .disk("vda", image)
                .with("--state", state.toString())
                .through(PrivateMount.tmpfs(state, "2m"))
                .start();
        ControlSocket control = server.control();
        NbdClient guest = server.connect("vda")) {
      int added = fill(control);
      System.out.println("StateFullTest: " + added + " bitmaps had room");
      assertTrue(added > 0);
      // Every page of every bitmap: one that had no space now would be the end of the process.
      for (int offset = 0; offset < SIZE_BYTES; offset += 1 << 20) {
        Images.write(guest, offset, Images.filled(GRANULE_BYTES, 0xee));
      }
      Images.await(guest.flush());
      assertTrue(server.isAlive());
      assertEquals(0, server.disk().path("write-errors").asInt());
      for (String name : new String[] {"b0", "b" + (added - 1)}) {
        assertEquals(64L * GRANULE_BYTES, dirtyBytes(control, name), name);
      }
    }
  }

  /// Adds persistent bitmaps until one is refused; returns how many there are.
  private static int fill(ControlSocket control) {
    for (int i = 0; i < BITMAPS_MAX; i++) {
      try {
        JsonNode _ = control.execute("block-dirty-bitmap-add", persistent("b" + i));
      } catch (IOException e) {
        String text = String.valueOf(e.getMessage());
        assertTrue(text.contains("No space left"), text);
        return i;
      }
    }
    return fail("the state directory took " + BITMAPS_MAX + " bitmaps");
  }

  private static long dirtyBytes(ControlSocket control, String name) throws IOException {
    for (JsonNode node : control.execute("query-named-block-nodes", ControlSocket.object())) {
      for (JsonNode each : node.path("dirty-bitmaps")) {
        if (each.path("name").asString().equals(name)) {
          return each.path("count").asLong();
        }
      }
    }
    throw new AssertionError("no bitmap " + name);
  }

  private static ObjectNode persistent(String name) {
    return ControlSocket.object()
        .put("node", "vda")
        .put("name", name)
        .put("granularity", GRANULE_BYTES)
        .put("persistent", true);
  }
}
