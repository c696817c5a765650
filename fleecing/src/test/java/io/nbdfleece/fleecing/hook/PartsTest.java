// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static io.nbdfleece.fleecing.hook.HookedDisk.CLUSTER;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/// Clusters of which a write changes a part: that part is preserved, and then the rest, if need be.
final class PartsTest {
  private static final int BLOCK = CLUSTER / 4;

  private static byte[] shown(SnapshotView view) {
    ByteBuffer target = ByteBuffer.allocateDirect((int) view.sizeBytes());
    view.read(0, target, Outcome.mustSucceed());
    byte[] bytes = new byte[target.capacity()];
    target.get(0, bytes);
    return bytes;
  }

  private static CompletableFuture<Void> writeBlock(HookedDisk disk, int cluster, int block) {
    return disk.write(4L * BLOCK * cluster + (long) block * BLOCK, BLOCK);
  }

  @Test
  void ofASmallWriteOnlyItsBlocksArePreserved() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      byte[] before = disk.content.clone();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      disk.write(3 * CLUSTER + BLOCK + 5, 7).join();
      assertEquals(BLOCK, disk.readBytes);
      assertEquals(
          List.of(
              new FrozenExtent(3 * CLUSTER + BLOCK, FrozenExtent.Source.DISK),
              new FrozenExtent(BLOCK, FrozenExtent.Source.RAM),
              new FrozenExtent(4 * CLUSTER + 2 * BLOCK, FrozenExtent.Source.DISK)),
          view.sources(0, disk.sizeBytes(), 10));
      assertArrayEquals(before, shown(view));
      disk.write(3 * CLUSTER + BLOCK, BLOCK).join();
      assertEquals(CLUSTER, view.statistics().preservedBytes());
      assertArrayEquals(before, shown(view));
      view.release();
      assertEquals(0, disk.store.statistics().entries());
    }
  }

  @Test
  void theNextWritePreservesTheRestTogetherWithThePart() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      byte[] before = disk.content.clone();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      writeBlock(disk, 3, 2).join();
      writeBlock(disk, 3, 0).join();
      assertEquals(1, disk.store.statistics().entries());
      int reads = disk.reads;
      disk.write(3).join();
      assertEquals(reads, disk.reads, "all of it is preserved");
      assertArrayEquals(before, shown(view));
    }
  }

  @Test
  void partOfZeroesTakesNoRoomAndStaysZeroInTheWhole() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      writeBlock(disk, 3, 1).join(); // zeroes
      byte[] before = disk.content.clone();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      writeBlock(disk, 3, 1).join();
      assertEquals(0, disk.store.statistics().entries());
      assertEquals(
          new FrozenExtent(BLOCK, FrozenExtent.Source.ZERO),
          view.sources(3 * CLUSTER + BLOCK, CLUSTER, 3).getFirst());
      disk.content[3 * CLUSTER + BLOCK] = 99; // as if the guest had written something else
      writeBlock(disk, 3, 3).join();
      assertArrayEquals(before, shown(view));
    }
  }

  @Test
  void whoWritesOneClusterAfterTheOtherPreservesThemWhole() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      disk.write(2).join();
      disk.readBytes = 0;
      for (int block = 0; block < 4; block++) {
        writeBlock(disk, 3, block).join();
      }
      assertEquals(CLUSTER, disk.readBytes);
      assertEquals(2 * CLUSTER, view.statistics().preservedBytes());
    }
  }

  @Test
  void whenTheStoreIsNearlyFullClustersArePreservedWhole() throws Exception {
    try (HookedDisk disk = new HookedDisk(16, 12)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      disk.discard(0, 11).join();
      disk.readBytes = 0;
      writeBlock(disk, 15, 2).join();
      assertEquals(CLUSTER, disk.readBytes);
      writeBlock(disk, 15, 1).join();
      assertTrue(view.brokenBecause().isEmpty(), "needs no second slot");
    }
  }

  @Test
  void whenTheHeapOfPartsIsUsedUpClustersFarAwayArePreservedWhole() throws Exception {
    WriteTerms oneChunk = new WriteTerms(WriteBrake.NONE, 0, new PartBudget(1));
    try (HookedDisk disk = new HookedDisk(2048, 16, oneChunk)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      writeBlock(disk, 3, 2).join();
      writeBlock(disk, 1000, 2).join();
      assertEquals(2 * BLOCK, disk.readBytes);
      writeBlock(disk, 2000, 2).join();
      assertEquals(2 * BLOCK + CLUSTER, disk.readBytes);
      view.release();
      assertEquals(0, oneChunk.parts().usedBytes());
    }
  }

  @Test
  void aWriteToTheRestWaitsForThePartAndThenForTheRest() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      byte[] before = disk.content.clone();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> first = writeBlock(disk, 3, 1);
      CompletableFuture<Void> second = writeBlock(disk, 3, 2);
      held.removeFirst().run();
      assertTrue(first.isDone());
      assertFalse(second.isDone(), "its blocks are not preserved");
      held.removeFirst().run();
      assertTrue(second.isDone());
      disk.heldReads = null;
      assertArrayEquals(before, shown(view));
    }
  }

  /// A copy of the whole that nobody waits for any more ends when another snapshot has begun. A
  /// guest has written to the part meanwhile, which need not be preserved again.
  @Test
  void copyOfTheWholeThatEndsTooLateIsNotTheNextSnapshots() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      byte[] before = disk.content.clone();
      SnapshotView first =
          disk.freeze(
              new SnapshotTerms("s1", Access.READ_ONLY, OnCbwError.BREAK_GUEST_WRITE, 1_000_000));
      disk.write(3 * CLUSTER + BLOCK, 1).join();
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> refused = writeBlock(disk, 3, 2);
      disk.nowNanos = 1_000_000;
      disk.hook.expireCopies();
      assertTrue(refused.isCompletedExceptionally());
      writeBlock(disk, 3, 1).join(); // preserved already
      byte[] then = disk.content.clone();
      SnapshotView second = disk.freeze(Access.READ_ONLY, 0);
      disk.heldReads = null;
      held.removeFirst().run();
      assertEquals(0, disk.hook.copies().inFlight());
      writeBlock(disk, 3, 0).join();
      assertArrayEquals(then, shown(second));
      assertArrayEquals(before, shown(first));
      first.release();
      second.release();
      assertEquals(0, disk.store.statistics().entries());
    }
  }

  /// The copy of a part that hangs, and that nobody waits for any more, holds up who writes to the
  /// rest of that cluster later. That write is refused, too, instead of waiting for ever.
  @Test
  void deadlineAlsoHoldsForWhoWaitsForACopyOfOtherBlocks() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      byte[] before = disk.content.clone();
      SnapshotView view =
          disk.freeze(
              new SnapshotTerms("s1", Access.READ_ONLY, OnCbwError.BREAK_GUEST_WRITE, 1_000_000));
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> toThePart = writeBlock(disk, 3, 1);
      disk.nowNanos = 1_000_000;
      disk.hook.expireCopies();
      assertTrue(toThePart.isCompletedExceptionally());
      CompletableFuture<Void> toTheRest = writeBlock(disk, 3, 2);
      assertFalse(toTheRest.isDone());
      disk.nowNanos = 2_000_000;
      disk.hook.expireCopies();
      assertTrue(toTheRest.isCompletedExceptionally());
      disk.heldReads = null;
      held.removeFirst().run();
      writeBlock(disk, 3, 2).join();
      assertArrayEquals(before, shown(view));
    }
  }

  /// What is prefetched of a cluster is of no use to anybody once a part of it may be overwritten
  /// without being preserved.
  @Test
  void prefetchedCopyGoesWithTheSnapshotThatNeededAllOfIt() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView first = disk.freeze(Access.READ_ONLY, 0);
      writeBlock(disk, 3, 1).join();
      SnapshotView second = disk.freeze(Access.READ_ONLY, 0);
      HookedDisk.prefetch(second, 3, 1).join();
      assertEquals(CLUSTER, disk.store.statistics().spareBytes());
      second.release();
      assertEquals(0, disk.store.statistics().spareBytes());
      HookedDisk.prefetch(first, 3, 1).join();
      assertEquals(0, disk.store.statistics().spareBytes());
      disk.content[3 * CLUSTER + BLOCK] = 99;
      writeBlock(disk, 3, 1).join();
      SnapshotView third = disk.freeze(Access.READ_ONLY, 0);
      assertArrayEquals(disk.content, shown(third));
    }
  }

  @Test
  void whereTheRestCannotBeReadTheClusterIsRefusedToTheGuestOrLost() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view =
          disk.freeze(new SnapshotTerms("s", Access.READ_ONLY, OnCbwError.BREAK_GUEST_WRITE, 0));
      byte[] before = disk.content.clone();
      writeBlock(disk, 3, 1).join();
      disk.readsFail = true;
      assertTrue(writeBlock(disk, 3, 2).isCompletedExceptionally());
      assertFalse(writeBlock(disk, 3, 1).isCompletedExceptionally(), "preserved already");
      disk.readsFail = false;
      assertArrayEquals(before, shown(view));
    }
  }

  @Test
  void quotaCountsAPartAndItsWholeOnce() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      List<Long> near = new ArrayList<>();
      PreservedQuota quota = new PreservedQuota(2L * CLUSTER, near::add);
      SnapshotView view =
          disk.freeze(
              new SnapshotTerms(
                  "s", Access.READ_ONLY, OnCbwError.BREAK_SNAPSHOT, 0, Optional.of(quota)));
      writeBlock(disk, 3, 1).join();
      writeBlock(disk, 3, 2).join();
      writeBlock(disk, 5, 2).join();
      writeBlock(disk, 5, 1).join();
      view.discard(3L * CLUSTER, CLUSTER, Outcome.mustSucceed());
      writeBlock(disk, 6, 1).join();
      view.discard(6L * CLUSTER, CLUSTER, Outcome.mustSucceed());
      writeBlock(disk, 1, 1).join();
      assertTrue(view.brokenBecause().isEmpty());
      writeBlock(disk, 7, 1).join();
      assertTrue(view.brokenBecause().orElse("").contains("max-preserved"));
    }
  }
}
