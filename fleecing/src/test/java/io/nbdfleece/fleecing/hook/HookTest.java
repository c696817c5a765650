// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static io.nbdfleece.fleecing.hook.HookedDisk.CLUSTER;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NotFastException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

final class HookTest {

  private static CompletableFuture<Void> zeroFast(HookedDisk disk, int cluster, int count) {
    Outcome outcome = new Outcome();
    disk.hook.apply(
        new Mutation.Zero(
            (long) cluster * CLUSTER,
            (long) count * CLUSTER,
            Mutation.Provisioning.MAY_PUNCH,
            Mutation.Speed.FAST_ONLY,
            Mutation.Durability.CACHED),
        outcome);
    return outcome.future();
  }

  private static void assertNotFast(CompletableFuture<Void> zeroed) {
    CompletionException error = assertThrows(CompletionException.class, zeroed::join);
    assertInstanceOf(NotFastException.class, error.getCause());
  }

  @Test
  void fastZeroingFailsAtOnceWhereAClusterWouldHaveToBePreserved() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      zeroFast(disk, 0, 1).join();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      disk.write(1).join();
      int reads = disk.reads;
      assertNotFast(zeroFast(disk, 1, 2));
      assertEquals(3, disk.content[2 * CLUSTER], "something has changed");
      assertEquals(reads, disk.reads);
      zeroFast(disk, 1, 1).join(); // that cluster is preserved already
      assertEquals(2, HookedDisk.byteOf(view, 1));
      view.release();
      zeroFast(disk, 1, 2).join();
      assertEquals(0, disk.content[2 * CLUSTER]);
    }
  }

  @Test
  void fastZeroingFailsAtOnceWhileASnapshotIsBeingTaken() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      disk.hook.closeGate(() -> {});
      assertNotFast(zeroFast(disk, 0, 1));
      disk.hook.openGate();
      zeroFast(disk, 0, 1).join();
    }
  }

  @Test
  void whatADiskThrowsFailsThatWriteAndKeepsNobodyElseWaiting() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      disk.whenApplied =
          () -> {
            disk.whenApplied = () -> {};
            throw new InternalError("by the test");
          };
      CompletableFuture<Void> first = disk.write(0);
      CompletableFuture<Void> second = disk.write(0);
      disk.heldReads = null;
      held.forEach(Runnable::run); // both wait for one copy
      CompletionException error = assertThrows(CompletionException.class, first::join);
      assertEquals(
          "java.io.IOException: internal error: java.lang.InternalError: by the test",
          error.getMessage());
      assertTrue(second.isDone() && !second.isCompletedExceptionally(), "the other one waits");
      assertEquals(1, HookedDisk.byteOf(view, 0));
      disk.freeze(Access.READ_ONLY, 0).release(); // nothing is in flight
      view.release();
    }
  }

  @Test
  void guestWriteGoesOnWhenTheDiskDoesNotAnswerTheReadOfTheOldContent() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 1_000_000);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> written = disk.write(4);
      disk.nowNanos = 999_999;
      disk.hook.expireCopies();
      assertFalse(written.isDone());
      disk.nowNanos = 1_000_000;
      disk.hook.expireCopies();
      assertTrue(written.isDone());
      assertEquals(0, disk.content[4 * CLUSTER]);
      assertTrue(view.brokenBecause().orElse("").contains("--cbw-timeout"));
      held.forEach(Runnable::run); // the answer after all
      assertEquals(0, disk.store.statistics().ramBytes());
      assertEquals(0, disk.hook.copies().inFlight());
    }
  }

  @Test
  void whatCannotBeReadTogetherIsNotReadOneByOneWhenNobodyNeedsItAnyMore() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 1_000_000);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> discarded = disk.discard(0, 4);
      disk.nowNanos = 1_000_000;
      disk.hook.expireCopies();
      assertTrue(discarded.isDone());
      assertTrue(view.brokenBecause().isPresent());
      disk.readsFail = true;
      int reads = disk.reads;
      held.forEach(Runnable::run);
      assertEquals(reads, disk.reads);
      assertEquals(0, disk.store.statistics().ramBytes());
    }
  }

  @Test
  void whileADiskIsReadThoseWhoWaitForSlotsOfTheStoreAreTold() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 4)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Boolean> told = new ArrayList<>();
      disk.whenRead = () -> told.add(isToldAtOnce(disk));
      disk.discard(0, 6).join(); // there are slots for 4 of them
      assertEquals(List.of(true, true, true, true), told);
      assertTrue(view.brokenBecause().orElse("").contains("RAM"));
    }
  }

  /// Whether who asks for a slot that there is not hears of it inside the call.
  private static boolean isToldAtOnce(HookedDisk disk) {
    List<IOException> errors = new ArrayList<>();
    disk.store.acquire(
        1,
        new ClusterStore.SlotCompletion() {
          @Override
          public void acquired(List<RamSlot> slots) {
            throw new AssertionError("a slot");
          }

          @Override
          public void failed(IOException error) {
            errors.add(error);
          }
        });
    return !errors.isEmpty();
  }
}
