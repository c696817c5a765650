// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.BudgetStep;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// An engine with a budget that no write that preserves can keep.
@Timeout(60)
final class WriteBudgetOfEngineTest {
  private static final int CLUSTER = 4096;
  private static final int RAM_CLUSTERS = 64;
  private static final int CLUSTERS = 40;

  @TempDir Path directory = Path.of("");

  private static void write(ServedDisk disk, int cluster) throws IOException {
    EngineRig.Done done = new EngineRig.Done();
    ByteBuffer data = ByteBuffer.allocateDirect(CLUSTER);
    disk.top()
        .apply(
            new Mutation.Write((long) cluster * CLUSTER, data, Mutation.Durability.CACHED), done);
    var _ = EngineRig.get(done.future);
  }

  @Test
  void whenWritesAreOverTheBudgetHalfOfRamIsKeptFreeAndThatIsTold() throws Exception {
    byte[] content = new byte[CLUSTERS * CLUSTER];
    Arrays.fill(content, (byte) 1);
    Path image = Files.write(directory.resolve("vda.img"), content);
    EngineConfig config =
        new EngineConfig(
            CLUSTER,
            RAM_CLUSTERS * CLUSTER,
            directory,
            1 << 20,
            4,
            Optional.empty(),
            new GuestFirst(80, Duration.ofNanos(1)));
    BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();
    try (FleecingEngine engine = FleecingEngine.open(config)) {
      var _ = engine.addDisk(new DiskConfig("vda", image.toString(), DiskConfig.Access.READ_WRITE));
      var _ = engine.subscribe(events::add);
      var _ =
          EngineRig.get(
              engine.snapshot(EngineRig.request("s", Optional.empty(), Optional.empty())));
      assertTrue(events.poll(10, TimeUnit.SECONDS) instanceof EngineEvent.SnapshotCreated);
      for (int i = 0; i < CLUSTERS; i++) {
        write(engine.disk("vda").orElseThrow(), i);
      }
      assertTrue(
          events.poll(20, TimeUnit.SECONDS) instanceof EngineEvent.WriteBudgetStep told
              && told.disk().equals("vda")
              && told.step() == BudgetStep.SPILL_SOONER);
      Awaitility.await()
          .until(() -> engine.storeStatistics().ramBytes() <= RAM_CLUSTERS / 2 * (long) CLUSTER);
      assertEquals(BudgetStep.SPILL_SOONER, engine.disks().getFirst().statistics().budgetStep());
      assertEquals(CLUSTERS, engine.storeStatistics().entries());
    }
  }
}
