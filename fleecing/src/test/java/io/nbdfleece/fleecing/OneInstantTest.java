// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// View and bitmaps of several disks are of one instant, while a guest writes.
@Timeout(60)
final class OneInstantTest {
  private static final int SLOTS = 16;

  /// Number n is written first to slot n of vda, and once that is acknowledged to slot n of vdb;
  /// the slots are granules, used in turn.
  private static void write(EngineRig rig, AtomicBoolean stop, AtomicInteger acknowledged) {
    for (int n = 1; !stop.get(); n++) {
      byte[] number = ByteBuffer.allocate(4).putInt(n).array();
      long offset = (long) (n % SLOTS) * EngineRig.GRANULE;
      try {
        rig.write("vda", offset, number);
        rig.write("vdb", offset, number);
      } catch (IOException e) {
        throw new AssertionError(e);
      }
      acknowledged.set(n);
    }
  }

  private static int slot(byte[] content, int slot) {
    return ByteBuffer.wrap(content).getInt(slot * EngineRig.GRANULE);
  }

  private static int newest(byte[] content) {
    int newest = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
      newest = Math.max(newest, slot(content, slot));
    }
    return newest;
  }

  @Test
  void everyWriteIsInTheViewOrInTheNewStretch(@TempDir Path directory) throws IOException {
    try (EngineRig rig = new EngineRig(directory, true, "vda", "vdb")) {
      for (int round = 0; round < 40; round++) {
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger acknowledged = new AtomicInteger();
        CompletableFuture<Void> guest =
            CompletableFuture.runAsync(() -> write(rig, stop, acknowledged));
        while (acknowledged.get() < round % 5) {
          Thread.onSpinWait();
        }
        int before = acknowledged.get();
        String snapshot = "s" + round;
        String checkpoint = "c" + round;
        var _ = rig.take(snapshot, checkpoint);
        stop.set(true);
        var _ = EngineRig.get(guest);
        byte[] vda = EngineRig.read(rig.view(snapshot, "vda"), 0, EngineRig.SIZE);
        byte[] vdb = EngineRig.read(rig.view(snapshot, "vdb"), 0, EngineRig.SIZE);
        assertTrue(newest(vda) >= before, "what was acknowledged before is in the view");
        int ahead = newest(vda) - newest(vdb);
        assertTrue(ahead == 0 || ahead == 1, "disks are of one instant: " + ahead);
        everyChangeIsMarked(rig, checkpoint, "vda", vda);
        everyChangeIsMarked(rig, checkpoint, "vdb", vdb);
        var _ = rig.engine().release(snapshot, ReleaseOutcome.FAILED);
        for (String disk : List.of("vda", "vdb")) {
          rig.write(disk, 0, new byte[EngineRig.SIZE]);
        }
      }
    }
  }

  /// Exactly the slots that changed after the view are dirty in the stretch.
  private static void everyChangeIsMarked(
      EngineRig rig, String checkpoint, String disk, byte[] frozen) throws IOException {
    byte[] now = Files.readAllBytes(rig.file(disk));
    GranuleSet dirty = rig.engine().dirtySince(disk, checkpoint);
    for (int slot = 0; slot < SLOTS; slot++) {
      boolean changed = slot(frozen, slot) != slot(now, slot);
      assertEquals(
          changed,
          dirty.isDirty((long) slot * EngineRig.GRANULE),
          Optional.of(disk) + " slot " + slot);
    }
  }
}
