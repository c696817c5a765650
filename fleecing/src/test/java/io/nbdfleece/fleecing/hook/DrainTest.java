// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class DrainTest {
  private static Drain<String> drain(String yields, HookedDisk... disks) {
    return Drain.start(
        List.of(disks).stream().map(disk -> disk.hook).toList(), () -> yields, System::nanoTime);
  }

  @Test
  void whoHearsThatADrainWasGivenUpMayStartTheNextAtOnce() throws IOException {
    try (HookedDisk first = new HookedDisk(4, 4);
        HookedDisk second = new HookedDisk(4, 4)) {
      HeldWrite held = new HeldWrite(second);
      Drain<String> slow = drain("slow", first, second);
      CompletableFuture<String> next =
          slow.outcome()
              .handle((drained, error) -> drain("next", first).outcome().join().yielded());
      assertTrue(slow.cancel(new IOException("too slow"), Runnable::run));
      assertEquals("next", next.join());
      held.end();
      assertTrue(first.write(0).isDone());
      assertTrue(second.write(0).isDone());
    }
  }

  @Test
  void whatWaitedForADrainThatWasGivenUpGoesOnOneDiskBesideTheOther() throws IOException {
    try (HookedDisk first = new HookedDisk(4, 4);
        HookedDisk second = new HookedDisk(4, 4)) {
      HeldWrite held = new HeldWrite(first);
      Drain<String> slow = drain("slow", first, second);
      CompletableFuture<Void> onFirst = first.write(0);
      CompletableFuture<Void> onSecond = second.write(0);
      List<Runnable> elsewhere = new ArrayList<>();
      assertTrue(slow.cancel(new IOException("too slow"), elsewhere::add));
      assertTrue(second.write(2).isDone());
      assertFalse(onFirst.isDone() || onSecond.isDone());
      elsewhere.getLast().run(); // the other one may wait for its disk for ever
      assertTrue(onSecond.isDone());
      elsewhere.getFirst().run();
      held.end();
    }
  }

  @Test
  void drainThatCannotCloseAGateOpensThoseItHasClosed() throws IOException {
    try (HookedDisk first = new HookedDisk(4, 4);
        HookedDisk second = new HookedDisk(4, 4)) {
      second.hook.closeGate(() -> {});
      assertThrows(IllegalStateException.class, () -> drain("never", first, second));
      assertTrue(first.write(0).isDone());
      second.hook.openGate();
      assertEquals("again", drain("again", first, second).outcome().join().yielded());
    }
  }

  /// A write in flight: its copy cannot be read yet.
  private static final class HeldWrite {
    private final HookedDisk disk;
    private final SnapshotView view;
    private final List<Runnable> reads = new ArrayList<>();
    private final CompletableFuture<Void> write;

    HeldWrite(HookedDisk disk) {
      this.disk = disk;
      this.view = disk.freeze(Access.READ_ONLY, 0);
      disk.heldReads = reads;
      this.write = disk.write(1);
    }

    void end() {
      disk.heldReads = null;
      List.copyOf(reads).forEach(Runnable::run);
      assertTrue(write.isDone());
      view.release();
    }
  }
}
