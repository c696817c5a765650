// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static io.nbdfleece.fleecing.hook.HookedDisk.CLUSTER;
import static io.nbdfleece.fleecing.hook.HookedDisk.byteOf;
import static io.nbdfleece.fleecing.hook.HookedDisk.prefetch;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

final class PrefetchTest {

  @Test
  void whatWasPrefetchedIsNotReadFromTheDiskAgain() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      prefetch(view, 2, 3).join();
      assertEquals(3, disk.reads);
      assertEquals(3L * CLUSTER, disk.store.statistics().spareBytes());
      for (int cluster = 2; cluster < 5; cluster++) {
        assertEquals(cluster + 1, byteOf(view, cluster));
      }
      assertEquals(3, disk.reads);
      prefetch(view, 2, 3).join();
      assertEquals(3, disk.reads);
    }
  }

  @Test
  void guestWriteKeepsThePrefetchedCopyAndReadsNothing() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      prefetch(view, 0, 8).join();
      disk.write(3).join();
      assertEquals(8, disk.reads);
      assertEquals(4, byteOf(view, 3));
      assertEquals(0, disk.content[3 * CLUSTER]);
      assertEquals(1, disk.store.statistics().entries());
      assertEquals(7L * CLUSTER, disk.store.statistics().spareBytes());
    }
  }

  @Test
  void prefetchedZeroesTakeNoRoom() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      disk.write(1).join();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      prefetch(view, 1, 1).join();
      assertEquals(0, disk.store.statistics().ramBytes());
      assertEquals(0, byteOf(view, 1));
      assertEquals(1, disk.reads);
    }
  }

  @Test
  void prefetchStopsWhenRamIsFullAndSucceeds() throws Exception {
    try (HookedDisk disk = new HookedDisk(32, 8)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      prefetch(view, 0, 32).join();
      assertEquals(8, disk.reads);
      assertEquals(8L * CLUSTER, disk.store.statistics().ramBytes());
    }
  }

  @Test
  void withoutMemoryPrefetchStopsAndHoldsNobodyUp() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      disk.spareSlotsLeft = 2;
      prefetch(view, 0, 8).join();
      assertEquals(2, disk.reads);
      assertEquals(2L * CLUSTER, disk.store.statistics().spareBytes());
      for (int cluster = 0; cluster < 8; cluster++) {
        disk.write(cluster).join();
        assertEquals(cluster + 1, byteOf(view, cluster));
      }
    }
  }

  @Test
  void prefetchedCopiesGiveWayToPreservedOnes() throws Exception {
    try (HookedDisk disk = new HookedDisk(32, 8)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      prefetch(view, 0, 8).join();
      for (int cluster = 16; cluster < 24; cluster++) {
        disk.write(cluster).join();
      }
      assertEquals(List.of(), disk.broken);
      assertEquals(0, disk.store.statistics().spareBytes());
      assertEquals(8, disk.store.statistics().entries());
      for (int cluster = 0; cluster < 24; cluster++) {
        assertEquals(cluster + 1, byteOf(view, cluster));
      }
      disk.write(0).join(); // as without prefetching: now it is full
      assertEquals(1, disk.broken.size());
    }
  }

  @Test
  void whatHasBeenReadMakesRoomForWhatWillBe() throws Exception {
    try (HookedDisk disk = new HookedDisk(32, 8)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      prefetch(view, 0, 8).join();
      assertEquals(1, byteOf(view, 0));
      assertEquals(2, byteOf(view, 1));
      prefetch(view, 8, 4).join();
      int before = disk.reads;
      assertEquals(9, byteOf(view, 8));
      assertEquals(10, byteOf(view, 9));
      assertEquals(3, byteOf(view, 2));
      assertEquals(before, disk.reads);
    }
  }

  @Test
  void clusterOverwrittenDuringItsPrefetchShowsTheOldContent() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> prefetched = prefetch(view, 5, 1);
      CompletableFuture<Void> written = disk.write(5);
      assertEquals(2, held.size());
      held.get(1).run(); // the copy for the guest's write
      assertFalse(written.isDone(), "a guest write overtook a registered read (I4)");
      assertEquals(6, disk.content[5 * CLUSTER]);
      held.get(0).run();
      assertTrue(written.isDone() && prefetched.isDone());
      disk.heldReads = null;
      assertEquals(0, disk.content[5 * CLUSTER]);
      assertEquals(6, byteOf(view, 5));
      assertEquals(0, disk.store.statistics().spareBytes());
    }
  }

  @Test
  void discardAndReleaseDropPrefetchedCopies() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.DISCARD, 0);
      prefetch(view, 0, 8).join();
      view.discard(0, 3L * CLUSTER, Outcome.mustSucceed());
      assertEquals(5L * CLUSTER, disk.store.statistics().ramBytes());
      view.release();
      assertEquals(0, disk.store.statistics().ramBytes());
    }
  }

  @Test
  void youngerSnapshotUsesWhatAnOlderOneHadPrefetched() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView older = disk.freeze(Access.READ_ONLY, 0);
      prefetch(older, 0, 4).join();
      disk.write(0).join();
      SnapshotView younger = disk.freeze(Access.READ_ONLY, 0);
      assertEquals(2, byteOf(younger, 1));
      assertEquals(0, byteOf(younger, 0));
      assertEquals(1, byteOf(older, 0));
      older.release();
      assertEquals(3L * CLUSTER, disk.store.statistics().spareBytes());
      younger.release();
      assertEquals(0, disk.store.statistics().ramBytes());
    }
  }

  @Test
  void endedSnapshotIsNotPrefetched() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      view.release();
      CompletionException ended =
          assertThrows(CompletionException.class, () -> prefetch(view, 0, 1).join());
      assertInstanceOf(SnapshotEndedException.class, ended.getCause());
    }
  }
}
