// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Somebody tidies up and removes the scratch directory. What is preserved there is in a file that
/// has no name anyway.
@Timeout(120)
final class ScratchGoneTest {
  private static final int SIZE_BYTES = 16 << 20;
  private static final int BLOCK_BYTES = 64 << 10;

  @TempDir private Path directory;
  private Path scratch = Path.of("");
  private byte[] old = new byte[0];

  @BeforeEach
  void prepare() throws IOException {
    scratch = Files.createDirectory(directory.resolve("scratch"));
    old = Images.random(directory.resolve("vda.img"), SIZE_BYTES, 11);
  }

  @Test
  void removedScratchDirectoryChangesNothingForTheServerThatRuns() throws Exception {
    try (PackagedServer server = server("--scratch-limit", "64M");
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("before");
      Files.delete(scratch);
      overwrite(guest, 0, SIZE_BYTES, 0xee);
      JsonNode _ = server.snapshot("after");
      overwrite(guest, 0, SIZE_BYTES, 0x11);
      assertFrozen(server, "before", old);
      assertFrozen(server, "after", filled(0xee));
      assertTrue(server.store().path("disk-bytes").asLong() > 0, "spilled");
      assertEquals(0, server.disk().path("write-errors").asInt());
      server.release("before");
      server.release("after");
      assertEquals(0, server.store().path("entries").asLong());
      assertArrayEquals(filled(0x11), Images.read(guest, 0, SIZE_BYTES));
    }
  }

  @Test
  void diskTierThatCannotBeMadeAnyMoreIsRefusedAndAllElseGoesOn() throws Exception {
    try (PackagedServer server = server("--scratch-limit", "0");
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      Files.delete(scratch);
      Command.Result _ =
          server
              .run("cache-resize", "--scratch-limit", "64M")
              .exits(1)
              .says("scratch directory", scratch.toString());
      assertEquals(0, server.store().path("disk-bytes-max").asLong());
      overwrite(guest, 0, 8 * BLOCK_BYTES, 0xee);
      assertFrozen(server, "nightly", old);
      // The same once more, when the place is there again.
      Path _ = Files.createDirectory(scratch);
      Command.Result _ = server.run("cache-resize", "--scratch-limit", "64M").succeeds();
      overwrite(guest, 0, SIZE_BYTES, 0xee);
      assertFrozen(server, "nightly", old);
      assertEquals(0, server.disk().path("write-errors").asInt());
    }
  }

  private PackagedServer server(String... options) throws IOException {
    return PackagedServer.in(directory)
        .disk("vda", directory.resolve("vda.img"))
        .with("--ram", "1M", "--scratch", scratch.toString())
        .with(options)
        .start();
  }

  private static void overwrite(NbdClient guest, int from, int end, int value) throws IOException {
    for (int offset = from; offset < end; offset += BLOCK_BYTES) {
      Images.write(guest, offset, Images.filled(BLOCK_BYTES, value));
    }
  }

  private static byte[] filled(int value) {
    byte[] bytes = new byte[SIZE_BYTES];
    Images.filled(SIZE_BYTES, value).get(bytes);
    return bytes;
  }

  private static void assertFrozen(PackagedServer server, String name, byte[] content)
      throws IOException {
    try (NbdClient backup = server.connect("vda@" + name)) {
      assertArrayEquals(content, Images.read(backup, 0, SIZE_BYTES), name);
    }
  }
}
