// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Threads, file descriptors and memory stay flat over 1,000 snapshots. `-Dtest.cycles=N` for more.
@Timeout(300)
final class SoakTest {
  private static final int SIZE_BYTES = 4 << 20;
  private static final int CLUSTER_BYTES = 64 << 10;
  private static final long GROWTH_BYTES_MAX = 64 << 20;
  private static final int GROWTH_THREADS_MAX = 4;

  private final int cycles = Integer.getInteger("test.cycles", 1000);
  private final long seed = Long.getLong("test.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @TempDir private Path directory;

  @Test
  void thousandSnapshotsLeaveNothingBehind() throws Exception {
    System.out.println("SoakTest: test.seed=" + seed + " test.cycles=" + cycles);
    Path image = directory.resolve("vda.img");
    byte[] content = Images.random(image, SIZE_BYTES, 8);
    try (PackagedServer server =
            PackagedServer.in(directory).disk("vda", image).with("--ram", "1M").start();
        NbdClient guest = server.connect("vda");
        ControlSocket control = server.control()) {
      // Enough for the JIT, the buffers and the pools of threads to have come.
      for (int i = 0; i < cycles / 4; i++) {
        cycle(server, guest, control, content, i);
      }
      ProcessFigures before = server.figures();
      for (int i = 0; i < cycles; i++) {
        cycle(server, guest, control, content, i);
      }
      ProcessFigures after = server.figures();
      System.out.println("SoakTest: before " + before + ", after " + after);
      assertEquals(before.descriptors(), after.descriptors(), before + " " + after);
      assertTrue(after.threads() <= before.threads() + GROWTH_THREADS_MAX, before + " " + after);
      assertTrue(
          after.anonymousBytes() <= before.anonymousBytes() + GROWTH_BYTES_MAX,
          before + " " + after);
      JsonNode store = server.store();
      assertEquals(0, store.path("entries").asLong(), store::toString);
      assertEquals(0, store.path("disk-bytes").asLong(), store::toString);
      assertArrayEquals(content, Images.read(guest, 0, SIZE_BYTES));
    }
  }

  private void cycle(
      PackagedServer server, NbdClient guest, ControlSocket control, byte[] content, int number)
      throws IOException {
    String name = "s" + number;
    JsonNode _ = control.execute("fleecing-start", ControlSocket.object().put("name", name));
    byte[] frozen = content.clone();
    // Every second cycle overwrites more than RAM holds, so that it spills.
    int clusters = number % 2 == 0 ? 4 : 32;
    for (int i = 0; i < clusters; i++) {
      int offset = random.nextInt(SIZE_BYTES / CLUSTER_BYTES) * CLUSTER_BYTES;
      int value = random.nextInt(256);
      Images.write(guest, offset, Images.filled(4096, value));
      Arrays.fill(content, offset, offset + 4096, (byte) value);
    }
    try (NbdClient backup = server.connect("vda@" + name)) {
      assertArrayEquals(frozen, Images.read(backup, 0, SIZE_BYTES), () -> "test.seed=" + seed);
    }
    JsonNode _ = control.execute("fleecing-stop", ControlSocket.object().put("name", name));
  }
}
