// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.BitmapException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A disk's file is cut while it is served: people are told, and its bitmaps, which know nothing of
/// that, are not to be believed.
@Timeout(60)
final class DamagedDiskTest {
  private final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();

  private static void cut(EngineRig rig, String disk, long lengthBytes) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(rig.file(disk).toFile(), "rw")) {
      file.setLength(lengthBytes);
    }
  }

  private <T extends EngineEvent> T next(Class<T> type) throws InterruptedException {
    while (true) {
      EngineEvent event = events.poll(30, TimeUnit.SECONDS);
      assertTrue(event != null, "no " + type);
      if (type.isInstance(event)) {
        return type.cast(event);
      }
    }
  }

  @Test
  void itIsToldAndTheBitmapsOfThatDiskAreInconsistentForGood(@TempDir Path directory)
      throws Exception {
    try (EngineRig rig = new EngineRig(directory, true, "vda", "vdb")) {
      var _ =
          rig.transact(
              EngineRig.add("vda", "kept", true),
              EngineRig.add("vda", "volatile"),
              EngineRig.add("vdb", "other", true));
      var _ = rig.take("s1", "c1");
      var _ = rig.engine().release("s1", ReleaseOutcome.SUCCESS);
      rig.touch("vda", 3);
      try (EventSubscription _ = rig.engine().subscribe(events::add)) {
        cut(rig, "vda", EngineRig.SIZE / 2);
        EngineEvent.DiskDamaged told = next(EngineEvent.DiskDamaged.class);
        assertEquals("vda", told.disk());
        assertTrue(told.reason().contains("ended at " + EngineRig.SIZE / 2), told::toString);
        assertEquals(Optional.of(told.reason()), rig.disk("vda").damage());
        Set<String> lost = new HashSet<>();
        for (int i = 0; i < 3; i++) {
          lost.add(next(EngineEvent.BitmapInconsistent.class).bitmap());
        }
        assertEquals(Set.of("kept", "volatile", "c1"), lost);
      }
      assertTrue(rig.info("vda", "kept").inconsistent());
      assertTrue(rig.engine().checkpoints("vda").getFirst().inconsistent());
      BitmapException refusal =
          assertThrows(BitmapException.class, () -> rig.engine().dirtySince("vda", "c1"));
      assertEquals(BitmapException.Reason.INCONSISTENT, refusal.reason());
      assertFalse(rig.info("vdb", "other").inconsistent());
      assertEquals(Optional.empty(), rig.disk("vdb").damage());

      // A guest makes the file as long as it was: a restart cannot see any more what happened.
      rig.touch("vda", EngineRig.SIZE / EngineRig.GRANULE - 1);
      cut(rig, "vda", EngineRig.SIZE);
      rig.restart();
      assertTrue(rig.info("vda", "kept").inconsistent());
      assertTrue(rig.engine().checkpoints("vda").getFirst().inconsistent());
      assertFalse(rig.info("vdb", "other").inconsistent());
    }
  }

  @Test
  void aCutThatWasNoticedIsNotForgottenAtTheEnd(@TempDir Path directory) throws IOException {
    try (EngineRig rig = new EngineRig(directory, true, "vda")) {
      var _ = rig.transact(EngineRig.add("vda", "kept", true));
      cut(rig, "vda", EngineRig.SIZE / 2);
      rig.touch("vda", EngineRig.SIZE / EngineRig.GRANULE - 1);
      cut(rig, "vda", EngineRig.SIZE);
      rig.restart();
      assertTrue(rig.info("vda", "kept").inconsistent());
    }
  }

  @Test
  void snapshotOfItFailsWhereItIsCutAlsoAfterAGuestHasMadeItLongerAgain(@TempDir Path directory)
      throws IOException {
    try (EngineRig rig = new EngineRig(directory, false, "vda")) {
      var _ =
          EngineRig.get(
              rig.engine()
                  .snapshot(EngineRig.request("s", Optional.empty(), Optional.empty(), "vda")));
      cut(rig, "vda", EngineRig.SIZE / 2);
      rig.touch("vda", 15);
      var view = rig.view("s", "vda");
      assertEquals(0, EngineRig.read(view, 0, 1)[0]);
      for (int granule = 8; granule < 16; granule++) {
        long offsetBytes = (long) granule * EngineRig.GRANULE;
        IOException lost =
            assertThrows(IOException.class, () -> EngineRig.read(view, offsetBytes, 512));
        assertTrue(lost.toString().contains("lost"), lost::toString);
      }
    }
  }
}
