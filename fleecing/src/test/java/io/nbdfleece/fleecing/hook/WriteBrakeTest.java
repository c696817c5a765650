// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.FakeTimer;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Guest writes while a store of 20 clusters fills up, of which 16 may be filled at full speed.
final class WriteBrakeTest {
  private static final int SLOTS = 20;
  private static final int FREELY = 16;

  private final FakeTimer timer = new FakeTimer();
  private final HookedDisk disk =
      new HookedDisk(
          200, SLOTS, new WriteTerms(new WriteBrake(800, WriteBrake.PAUSE_NANOS_MAX, timer), 0));

  @AfterEach
  void close() throws IOException {
    disk.close();
  }

  private SnapshotView filledTo(int clusters) {
    SnapshotView view = disk.freeze(Access.DISCARD, 0);
    for (int i = 0; i < clusters; i++) {
      assertTrue(disk.write(i).isDone(), "write " + i);
    }
    return view;
  }

  private void passMillis(long millis) {
    timer.pass(TimeUnit.MILLISECONDS.toNanos(millis));
  }

  @ParameterizedTest
  @CsvSource({"0, 0", "799, 0", "800, 0", "850, 25", "900, 50", "1000, 100"})
  void aPauseIsInProportionToHowLittleRoomIsLeft(int filledPermille, long millis) {
    WriteBrake brake = new WriteBrake(800, WriteBrake.PAUSE_NANOS_MAX, timer);
    assertEquals(TimeUnit.MILLISECONDS.toNanos(millis), brake.pauseNanos(filledPermille));
    assertEquals(0, WriteBrake.NONE.pauseNanos(filledPermille));
  }

  @Test
  void writesThatPreservePauseLongerTheFullerTheStoreIs() {
    var _ = filledTo(FREELY);
    for (int i = FREELY; i < SLOTS; i++) {
      long pauseMillis = 25L * (i + 1 - FREELY);
      CompletableFuture<Void> written = disk.write(i);
      passMillis(pauseMillis - 1);
      assertFalse(written.isDone(), "write " + i + " after " + (pauseMillis - 1) + " ms");
      passMillis(1);
      assertTrue(written.isDone(), "write " + i);
    }
    HookStatistics statistics = disk.hook.statistics();
    assertEquals(4, statistics.slowedWrites());
    assertEquals(TimeUnit.MILLISECONDS.toNanos(250), statistics.slowedNanosTotal());
  }

  @Test
  void aWriteThatPausesHasPreservedAndChangedNothingYet() {
    SnapshotView view = filledTo(FREELY);
    CompletableFuture<Void> written = disk.write(50);
    assertEquals(17, disk.store.statistics().entries());
    assertEquals(51, disk.content[50 * HookedDisk.CLUSTER]);
    passMillis(25);
    assertTrue(written.isDone());
    assertEquals(0, disk.content[50 * HookedDisk.CLUSTER]);
    assertEquals(51, HookedDisk.byteOf(view, 50));
  }

  @Test
  void writesThatPreserveNothingNeverPause() {
    SnapshotView view = filledTo(FREELY);
    CompletableFuture<Void> paused = disk.write(FREELY);
    assertTrue(disk.write(0).isDone());
    view.discard(100L * HookedDisk.CLUSTER, HookedDisk.CLUSTER, Outcome.mustSucceed());
    assertTrue(disk.write(100).isDone());
    passMillis(100);
    assertTrue(paused.isDone());
    view.release();
    assertTrue(disk.write(FREELY + 1).isDone());
  }

  @Test
  void writesGoOnAtFullSpeedWhenRoomWasMade() {
    SnapshotView view = filledTo(FREELY);
    view.discard(0, 2L * HookedDisk.CLUSTER, Outcome.mustSucceed());
    assertTrue(disk.write(50).isDone());
    assertTrue(disk.write(51).isDone());
    assertFalse(disk.write(52).isDone());
    passMillis(25);
  }

  @Test
  void aWriteOfManyClustersPausesOnce() {
    var _ = filledTo(12);
    CompletableFuture<Void> written = disk.discard(100, 8);
    passMillis(99);
    assertFalse(written.isDone());
    passMillis(1);
    assertTrue(written.isDone());
    assertEquals(1, disk.hook.statistics().slowedWrites());
  }

  @Test
  void aCopyThatWasPrefetchedCostsThePauseToo() {
    SnapshotView view = filledTo(FREELY);
    HookedDisk.prefetch(view, 60, 1).join();
    int reads = disk.reads;
    CompletableFuture<Void> written = disk.write(60);
    assertEquals(reads, disk.reads);
    assertFalse(written.isDone());
    passMillis(25);
    assertTrue(written.isDone());
  }

  @Test
  void aSnapshotIsTakenAfterTheWritesThatPause() {
    var _ = filledTo(FREELY);
    CompletableFuture<Void> written = disk.write(50);
    boolean[] drained = {false};
    disk.hook.closeGate(() -> drained[0] = true);
    assertFalse(drained[0]);
    passMillis(25);
    assertTrue(written.isDone());
    assertTrue(drained[0]);
    disk.hook.openGate();
  }

  @Test
  void aSnapshotThatIsReleasedMeanwhileLeavesNothingBehind() {
    SnapshotView view = filledTo(FREELY);
    CompletableFuture<Void> written = disk.write(50);
    view.release();
    assertEquals(0, disk.store.statistics().entries());
    passMillis(25);
    assertTrue(written.isDone());
    assertEquals(0, disk.hook.copies().inFlight());
    assertEquals(0, disk.content[50 * HookedDisk.CLUSTER]);
  }

  @Test
  void whenTheStoreIsFullTheSnapshotBreaksAndTheWriteDoesNotPause() {
    SnapshotView view = filledTo(FREELY);
    for (int i = FREELY; i < SLOTS; i++) {
      var _ = disk.write(i);
    }
    passMillis(100);
    assertTrue(disk.write(50).isDone());
    assertTrue(view.brokenBecause().isPresent());
  }

  @Test
  void withoutAThreadToPauseOnAWriteFailsAndNoneWaitsForEver() throws IOException {
    DelayTimer thin =
        new DelayTimer() {
          @Override
          public long nanoTime() {
            return timer.nanoTime();
          }

          @Override
          public void after(long delayNanos, Runnable task) {
            throw new OutOfMemoryError("native thread");
          }
        };
    WriteBrake brake = new WriteBrake(0, WriteBrake.PAUSE_NANOS_MAX, thin);
    try (HookedDisk thinDisk = new HookedDisk(8, 4, new WriteTerms(brake, 0))) {
      SnapshotView view = thinDisk.freeze(Access.READ_ONLY, 0);
      List<Runnable> held = new ArrayList<>();
      thinDisk.heldReads = held;
      CompletableFuture<Void> first = thinDisk.write(3);
      CompletableFuture<Void> second = thinDisk.write(3);
      thinDisk.heldReads = null;
      held.getFirst().run();
      assertTrue(first.isCompletedExceptionally());
      assertTrue(second.isDone() && !second.isCompletedExceptionally()); // it preserved nothing
      assertEquals(0, thinDisk.content[3 * HookedDisk.CLUSTER]);
      assertEquals(4, HookedDisk.byteOf(view, 3));
      view.release();
      thinDisk.freeze(Access.READ_ONLY, 0).release(); // nothing is in flight
    }
  }

  @Test
  void aWriteThatWasBrokenOffOnItsWayIsNotAppliedLater() {
    SnapshotView view = disk.freeze(Access.READ_ONLY, 0);
    List<Runnable> held = new ArrayList<>();
    disk.heldReads = held;
    Outcome outcome = new Outcome();
    GuestWrite write =
        new GuestWrite(
            disk.hook,
            new Mutation.Discard(0, HookedDisk.CLUSTER, Mutation.Durability.CACHED),
            outcome);
    disk.hook.admit(write);
    assertTrue(write.breakOff(new IllegalStateException("test")));
    assertTrue(outcome.future().isCompletedExceptionally());
    disk.heldReads = null;
    held.getFirst().run();
    assertEquals(1, disk.content[0]);
    view.release();
    disk.freeze(Access.READ_ONLY, 0).release(); // it counts once only
  }
}
