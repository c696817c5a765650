// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/// What is given up, and when, for a budget of 10 ms.
final class WriteBudgetTest {
  private static final long MILLI = TimeUnit.MILLISECONDS.toNanos(1);
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final WriteBudget budget = new WriteBudget(10 * MILLI);
  private long nowNanos = 7;

  /// A second in which so many writes took longer than they may.
  private List<BudgetStep> second(int writes, int slowWrites, boolean mayBreak) {
    List<BudgetStep> steps = new ArrayList<>();
    for (int i = 0; i < writes; i++) {
      budget.waited(i < slowWrites ? 11 * MILLI : 10 * MILLI);
    }
    for (int tick = 0; tick < 10; tick++) {
      nowNanos += SECOND / 10;
      WriteBudget.Change change = budget.look(nowNanos, 0, mayBreak);
      if (change != null) {
        steps.add(change.step());
      }
    }
    return steps;
  }

  private List<BudgetStep> seconds(int count, int writes, int slowWrites, boolean mayBreak) {
    assertNull(budget.look(nowNanos, 0, mayBreak));
    List<BudgetStep> steps = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      steps.addAll(second(writes, slowWrites, mayBreak));
    }
    return steps;
  }

  @Test
  void onePercentMayTakeLonger() {
    assertEquals(List.of(), seconds(20, 1000, 10, true));
    assertEquals(List.of(BudgetStep.SPILL_SOONER), seconds(1, 1000, 11, true));
  }

  @Test
  void stepsComeOneAfterTheOtherAndTheLastOneAfterEightSeconds() {
    assertEquals(List.of(BudgetStep.SPILL_SOONER), seconds(1, 50, 1, true));
    assertEquals(List.of(), seconds(1, 50, 1, true));
    assertEquals(List.of(BudgetStep.ESSENTIALS_ONLY), seconds(1, 50, 1, true));
    assertEquals(List.of(), seconds(4, 50, 1, true));
    assertEquals(List.of(BudgetStep.BREAK_SNAPSHOTS), seconds(1, 50, 1, true));
    assertEquals(BudgetStep.ESSENTIALS_ONLY, budget.step(), "the next snapshots have a chance");
  }

  @Test
  void aCalmSecondInBetweenBeginsTheCountAgain() {
    assertEquals(2, seconds(3, 50, 1, true).size());
    for (int i = 0; i < 4; i++) {
      assertEquals(List.of(), seconds(4, 50, 1, true));
      assertEquals(List.of(), seconds(1, 50, 0, true));
    }
    assertEquals(BudgetStep.ESSENTIALS_ONLY, budget.step());
  }

  @Test
  void snapshotsThatMayNotBeBrokenAreNotAndNothingIsToldAgain() {
    assertEquals(2, seconds(3, 50, 50, false).size());
    assertEquals(List.of(), seconds(60, 50, 50, false));
  }

  @Test
  void whenThingsAreQuietItGoesBackStepByStep() {
    var _ = seconds(3, 50, 1, true);
    assertEquals(List.of(), seconds(9, 50, 0, true));
    assertEquals(List.of(BudgetStep.SPILL_SOONER), seconds(1, 0, 0, true));
    assertEquals(List.of(), seconds(9, 0, 0, true));
    assertEquals(List.of(BudgetStep.NORMAL), seconds(1, 0, 0, true));
    assertEquals(List.of(), seconds(30, 0, 0, true));
  }

  @Test
  void withoutABudgetNothingIsGivenUp() {
    WriteBudget none = new WriteBudget(0);
    for (int i = 0; i < 100; i++) {
      none.waited(60 * SECOND);
      nowNanos += SECOND;
      assertNull(none.look(nowNanos, 60 * SECOND, true));
    }
    assertEquals(BudgetStep.NORMAL, none.step());
  }

  private static HookedDisk diskWithBudget() {
    return new HookedDisk(16, 32, new WriteTerms(WriteBrake.NONE, 10 * MILLI));
  }

  private static void tickSeconds(HookedDisk disk, int seconds) {
    for (int i = 0; i < seconds * 10; i++) {
      disk.nowNanos += SECOND / 10;
      disk.hook.expireCopies();
    }
  }

  @Test
  void aWriteThatWaitsGoesOnWhenTheSnapshotIsGivenUpForIt() throws Exception {
    try (HookedDisk disk = diskWithBudget()) {
      disk.hook.expireCopies();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> written = disk.write(4);
      tickSeconds(disk, 7);
      assertFalse(written.isDone());
      assertEquals(
          List.of("SPILL_SOONER", "ESSENTIALS_ONLY", "slow 16384 " + 5 * SECOND), disk.told);
      assertTrue(view.brokenBecause().isEmpty());
      tickSeconds(disk, 1);
      assertTrue(written.isDone());
      assertEquals("BREAK_SNAPSHOTS", disk.told.getLast());
      assertTrue(view.brokenBecause().orElse("").contains("--write-budget"));
      assertEquals(1, disk.broken.size());
      disk.heldReads = null;
      held.forEach(Runnable::run);
      tickSeconds(disk, 21); // in the first of them that write counts
      assertEquals("NORMAL", disk.told.getLast());
      assertEquals(BudgetStep.NORMAL, disk.hook.statistics().budgetStep());
    }
  }

  /// A read of the snapshot from the disk, which is slow, where the guest is going to write.
  private static List<Runnable> slowRead(HookedDisk disk, SnapshotView view, int cluster) {
    List<Runnable> held = new ArrayList<>();
    disk.heldReads = held;
    view.read(
        (long) cluster * HookedDisk.CLUSTER,
        ByteBuffer.allocateDirect(HookedDisk.CLUSTER),
        new Outcome());
    disk.heldReads = null;
    assertEquals(1, held.size());
    return held;
  }

  @Test
  void aWriteThatWaitsForAReadOfTheSnapshotCounts() throws Exception {
    try (HookedDisk disk = diskWithBudget()) {
      disk.hook.expireCopies();
      List<Runnable> read = slowRead(disk, disk.freeze(Access.READ_ONLY, 0), 4);
      CompletableFuture<Void> written = disk.write(4);
      assertFalse(written.isDone());
      disk.nowNanos += 11 * MILLI;
      read.forEach(Runnable::run);
      assertTrue(written.isDone());
      assertEquals(0, disk.hook.statistics().preserveNanosMax(), "preserving took no time");
      tickSeconds(disk, 1);
      assertEquals(List.of("SPILL_SOONER"), disk.told);
    }
  }

  @Test
  void aWriteThatStillWaitsForAReadOfTheSnapshotCountsAndIsTold() throws Exception {
    try (HookedDisk disk = diskWithBudget()) {
      disk.nowNanos = 7;
      disk.hook.expireCopies();
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> read = slowRead(disk, view, 4);
      CompletableFuture<Void> written = disk.write(4);
      tickSeconds(disk, 8);
      assertFalse(written.isDone(), "the read may see what it writes");
      assertEquals(
          List.of("SPILL_SOONER", "ESSENTIALS_ONLY", "slow 16384 " + 5 * SECOND, "BREAK_SNAPSHOTS"),
          disk.told);
      assertTrue(view.brokenBecause().orElse("").contains("--write-budget"));
      read.forEach(Runnable::run);
      assertTrue(written.isDone());
    }
  }

  @Test
  void aSnapshotThatIsToStayWholeStays() throws Exception {
    try (HookedDisk disk = diskWithBudget()) {
      SnapshotView view =
          disk.freeze(new SnapshotTerms("s", Access.READ_ONLY, OnCbwError.BREAK_GUEST_WRITE, 0));
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> written = disk.write(4);
      tickSeconds(disk, 60);
      assertFalse(written.isDone());
      assertTrue(view.brokenBecause().isEmpty());
      assertEquals(0, Collections.frequency(disk.told, "BREAK_SNAPSHOTS"));
      held.forEach(Runnable::run);
      assertTrue(written.isDone());
    }
  }

  @Test
  void nothingIsPrefetchedWhileOnlyEssentialsAreDone() throws Exception {
    try (HookedDisk disk = diskWithBudget()) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> written = disk.write(4);
      tickSeconds(disk, 4);
      disk.heldReads = null;
      held.forEach(Runnable::run);
      assertTrue(written.isDone());
      assertEquals(BudgetStep.ESSENTIALS_ONLY, disk.hook.budgetStep());
      int reads = disk.reads;
      HookedDisk.prefetch(view, 8, 2).join();
      assertEquals(reads, disk.reads);
      tickSeconds(disk, 20);
      HookedDisk.prefetch(view, 8, 2).join();
      assertEquals(reads + 2, disk.reads);
    }
  }

  @Test
  void aWriteThatWaitsLongIsToldOnceAsLongAsOneDoes() throws Exception {
    try (HookedDisk disk = new HookedDisk(16, 32)) {
      var _ = disk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      var _ = disk.write(2);
      tickSeconds(disk, 4);
      assertEquals(List.of(), disk.told);
      tickSeconds(disk, 10);
      assertEquals(List.of("slow 8192 " + 5 * SECOND), disk.told);
      held.forEach(Runnable::run);
      held.clear();
      tickSeconds(disk, 1);
      var _ = disk.write(3);
      tickSeconds(disk, 5);
      assertEquals(2, disk.told.size());
      held.forEach(Runnable::run);
    }
  }

  @Test
  void theDeadlineIsForAllOfAWriteAndNotForEachOfItsSteps() throws Exception {
    // 64 clusters are copied at once.
    try (HookedDisk disk = new HookedDisk(100, 100)) {
      SnapshotView view = disk.freeze(Access.READ_ONLY, 10 * SECOND);
      List<Runnable> held = new ArrayList<>();
      disk.heldReads = held;
      CompletableFuture<Void> written = disk.discard(0, 80);
      tickSeconds(disk, 6);
      List<Runnable> first = List.copyOf(held);
      held.clear();
      first.forEach(Runnable::run);
      assertEquals(16, held.size());
      tickSeconds(disk, 3);
      assertFalse(written.isDone());
      tickSeconds(disk, 2);
      assertTrue(written.isDone());
      assertTrue(view.brokenBecause().orElse("").contains("--cbw-timeout"));
      held.forEach(Runnable::run);
    }
  }
}
