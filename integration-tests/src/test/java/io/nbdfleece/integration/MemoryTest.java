// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.client.NbdClient;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// A large disk costs little memory: the RAM budget and 300 MiB for 1 TiB in clusters of 64 KiB.
@Timeout(180)
final class MemoryTest {
  private static final long RAM_BUDGET_BYTES = 64 << 20;
  private static final long ALLOWANCE_BYTES = 300 << 20;
  private static final long DISK_BYTES = 1L << 40;
  private static final int BLOCK_BYTES = 64 << 10;
  private static final int QUEUE_DEPTH = 32;
  private static final int WRITES = 8192;

  @TempDir private Path directory;

  @Test
  void tebibyteWithWritesAllOverFitsInTheBudgetAndAllowance() throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("MemoryTest: test.seed=" + seed);
    Random random = new Random(seed);
    Path image = Images.sparse(directory.resolve("vda.img"), DISK_BYTES);
    try (PackagedServer server =
            PackagedServer.in(directory)
                .disk("vda", image)
                .with("--ram", RAM_BUDGET_BYTES / 1024 + "K", "--scratch-limit", "4G")
                .start();
        NbdClient guest = server.connect("vda")) {
      JsonNode _ = server.snapshot("nightly");
      ByteBuffer data = Images.filled(4096, 0xee);
      Deque<CompletableFuture<Void>> answers = new ArrayDeque<>();
      for (int i = 0; i < WRITES; i++) {
        if (answers.size() == QUEUE_DEPTH) {
          Images.await(answers.remove());
        }
        long cluster = random.nextLong(DISK_BYTES / BLOCK_BYTES);
        answers.add(guest.write(cluster * BLOCK_BYTES, data, Export.Durability.CACHED));
      }
      while (!answers.isEmpty()) {
        Images.await(answers.remove());
      }
      JsonNode disk = server.snapshotDisk("nightly");
      assertTrue(!disk.has("broken-because"), disk::toString);
      Command.Result _ =
          Command.run(Peer.NBDCOPY.path(), server.uri("vda@nightly").toString(), "null:")
              .succeeds();
      ProcessFigures figures = server.figures();
      System.out.println("MemoryTest: " + figures);
      assertTrue(figures.residentBytes() <= RAM_BUDGET_BYTES + ALLOWANCE_BYTES, figures::toString);
      assertEquals(0, server.disk().path("write-errors").asInt());
    }
  }
}
