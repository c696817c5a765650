// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.TieredStore;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// RAM and disk tier of an engine get other sizes while a snapshot uses them.
@Timeout(60)
final class StoreResizeOfEngineTest {
  private static final int CLUSTER = EngineRig.GRANULE;

  @TempDir Path directory = Path.of("");

  @Test
  void whatIsPreservedStaysReadableAndTheSizesAreShown() throws IOException {
    try (EngineRig rig = new EngineRig(directory, false, "vda")) {
      rig.write("vda", 3L * CLUSTER, new byte[] {42});
      var _ =
          EngineRig.get(
              rig.engine()
                  .snapshot(EngineRig.request("s", Optional.empty(), Optional.empty(), "vda")));
      rig.write("vda", 3L * CLUSTER, new byte[] {1});
      rig.engine().resizeStore(OptionalLong.of(2 << 20), OptionalLong.of(0));
      assertEquals(2 << 20, rig.engine().storeStatistics().ramBytesMax());
      assertEquals(0, rig.engine().storeStatistics().diskBytesMax());
      rig.engine().resizeStore(OptionalLong.empty(), OptionalLong.of(8 << 20));
      assertEquals(2 << 20, rig.engine().config().ramBytesMax());
      assertEquals(8 << 20, rig.engine().storeStatistics().diskBytesMax());
      assertEquals(42, EngineRig.read(rig.view("s", "vda"), 3L * CLUSTER, 1)[0]);
    }
  }

  @Test
  void whatCannotBeIsRefusedInWordsAndChangesNothing() throws IOException {
    try (EngineRig rig = new EngineRig(directory, false, "vda")) {
      IllegalArgumentException few =
          assertThrows(
              IllegalArgumentException.class,
              () -> rig.engine().resizeStore(OptionalLong.of(CLUSTER), OptionalLong.empty()));
      assertTrue(EngineRig.message(few).contains("at least 16 clusters"));
      IOException machine =
          assertThrows(
              IOException.class,
              () -> rig.engine().resizeStore(OptionalLong.of(1L << 46), OptionalLong.empty()));
      assertTrue(
          EngineRig.message(machine).contains("the machine has only"), EngineRig.message(machine));
      for (long limit : new long[] {1, CLUSTER - 1, (1L << 60) + 1, Long.MAX_VALUE, -1}) {
        IllegalArgumentException scratch =
            assertThrows(
                IllegalArgumentException.class,
                () -> rig.engine().resizeStore(OptionalLong.empty(), OptionalLong.of(limit)));
        assertTrue(EngineRig.message(scratch).startsWith("scratch limit: " + limit + " ("));
      }
      assertEquals(4 << 20, rig.engine().storeStatistics().ramBytesMax());
      assertEquals(4 << 20, rig.engine().config().ramBytesMax());
    }
  }

  @Test
  void closedEngineTakesNoOtherSizesAndOpensNoScratchFile() throws IOException {
    EngineConfig ramOnly = new EngineConfig(CLUSTER, 4 << 20, directory, 0, 4);
    try (EngineRig rig =
        new EngineRig(directory, false, EngineRig.SIZE, ramOnly, TieredStore::open, "vda")) {
      rig.engine().close();
      IOException refused =
          assertThrows(
              IOException.class,
              () -> rig.engine().resizeStore(OptionalLong.empty(), OptionalLong.of(8 << 20)));
      assertEquals("the server is shutting down", refused.getMessage());
      assertEquals(List.of(), RaceLeftovers.openIn(directory));
    }
  }

  @Test
  void ramWhoseIndexDoesNotFitIntoTheHeapIsRefused() {
    EngineConfig config = new EngineConfig(CLUSTER, 1L << 46, directory, 0, 4);
    IOException refused =
        assertThrows(IOException.class, () -> RamBudget.requireHeap(config, 256L << 20));
    assertTrue(EngineRig.message(refused).contains("Java heap"), EngineRig.message(refused));
  }

  @Test
  void ramThatTheMachineDoesNotHaveIsRefused() {
    IOException refused =
        assertThrows(
            IOException.class,
            () -> RamBudget.requireMemory(3L << 20, OptionalLong.of((3L << 20) - 1)));
    assertTrue(EngineRig.message(refused).contains("2 MiB available"));
    assertDoesNotThrow(() -> RamBudget.requireMemory(3L << 20, OptionalLong.of(3L << 20)));
    assertDoesNotThrow(() -> RamBudget.requireMemory(3L << 20, OptionalLong.empty()));
    assertTrue(AvailableMemory.ofThisProcess().bytes().orElse(1) > 0);
  }

  @Test
  void engineWithMoreRamThanTheMachineHasDoesNotStart() {
    EngineConfig config = new EngineConfig(CLUSTER, 1L << 50, directory, 0, 4);
    IOException refused =
        assertThrows(IOException.class, () -> FleecingEngine.open(config).close());
    assertTrue(
        EngineRig.message(refused).contains("choose a smaller --ram"), EngineRig.message(refused));
    assertDoesNotThrow(() -> RamBudget.requireMachine(config, OptionalLong.of(1L << 50)));
    assertDoesNotThrow(() -> RamBudget.requireMachine(config, OptionalLong.empty()));
    assertTrue(AvailableMemory.ofThisProcess().machineBytes().orElse(1) > 0);
  }
}
