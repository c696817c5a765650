// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Chains of incremental snapshots, and how they end.
@Timeout(60)
final class CheckpointTest {
  @TempDir private Path directory;
  private EngineRig rig;

  @BeforeEach
  void open() throws IOException {
    rig = new EngineRig(directory, true, "vda", "vdb");
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  /// A full snapshot with checkpoint c1 that succeeded.
  private void base() throws IOException {
    var _ = rig.take("full", "c1");
    var _ = rig.engine().release("full", ReleaseOutcome.SUCCESS);
  }

  private List<String> checkpoints(String disk) throws IOException {
    return rig.engine().checkpoints(disk).stream().map(CheckpointInfo::name).toList();
  }

  @Test
  void incrementalHoldsWhatWasWrittenSinceTheCheckpoint() throws IOException {
    base();
    rig.touch("vda", 3);
    rig.touch("vdb", 5);
    SnapshotStatus status = rig.take("inc", "c2", "c1");
    rig.touch("vda", 9);
    assertEquals(List.of(3), EngineRig.granules(rig.exported("inc", "vda")));
    assertEquals(List.of(5), EngineRig.granules(rig.exported("inc", "vdb")));
    assertEquals(Optional.of("c1"), status.disks().getFirst().exportedBitmap());
    assertEquals(Optional.of(65536L), status.disks().getFirst().dirtyBytes());
    assertEquals(List.of(3, 9), rig.dirty("vda", "c1"));
    assertEquals(List.of(9), rig.dirty("vda", "c2"));
  }

  @Test
  void successMovesTheChainOnAndKeepsTheOlderCheckpoint() throws IOException {
    base();
    rig.touch("vda", 3);
    var _ = rig.take("inc", "c2", "c1");
    rig.touch("vda", 9);
    var _ = rig.engine().release("inc", ReleaseOutcome.SUCCESS);
    assertEquals(List.of("c1", "c2"), checkpoints("vda"));
    assertEquals(List.of(3, 9), rig.dirty("vda", "c1"));
    var _ = rig.take("inc2", "c3", "c2");
    assertEquals(List.of(9), EngineRig.granules(rig.exported("inc2", "vda")));
  }

  @Test
  void failureMergesBackSoThatTheNextIncrementalCoversAll() throws IOException {
    base();
    rig.touch("vda", 3);
    var _ = rig.take("inc", "c2", "c1");
    rig.touch("vda", 9);
    var _ = rig.engine().release("inc", ReleaseOutcome.FAILED);
    rig.touch("vda", 12);
    assertEquals(List.of("c1"), checkpoints("vda"));
    var _ = rig.take("again", "c2", "c1");
    assertEquals(List.of(3, 9, 12), EngineRig.granules(rig.exported("again", "vda")));
  }

  @Test
  void theSnapshotAndItsCheckpointsAreOfOneInstant() throws IOException {
    Instant created = rig.take("full", "c1").created();
    for (String disk : List.of("vda", "vdb")) {
      assertEquals(created, rig.engine().checkpoints(disk).getFirst().created());
    }
  }

  @Test
  void anyNumberOfCheckpointsCostsOneRecordingBitmap() throws IOException {
    base();
    for (int i = 2; i <= 5; i++) {
      rig.touch("vda", i);
      var _ = rig.take("s" + i, "c" + i, "c" + (i - 1));
      var _ = rig.engine().release("s" + i, ReleaseOutcome.SUCCESS);
    }
    assertEquals(1, rig.engine().bitmaps("vda").stream().filter(BitmapInfo::recording).count());
    assertEquals(List.of(3, 4, 5), rig.dirty("vda", "c2"));
    CheckpointInfo third = rig.engine().checkpoints("vda").get(2);
    assertEquals(Optional.of("c2"), third.since());
    assertEquals(65536, third.ownDirtyBytes());
    assertEquals(2 * 65536, third.sinceDirtyBytes());
  }

  @Test
  void deletedCheckpointGivesItsStretchToTheOneBefore() throws IOException {
    base();
    for (int i = 2; i <= 4; i++) {
      rig.touch("vda", i);
      var _ = rig.take("s" + i, "c" + i, "c" + (i - 1));
      var _ = rig.engine().release("s" + i, ReleaseOutcome.SUCCESS);
    }
    rig.touch("vda", 7);
    var _ = rig.transact(new TransactionAction.DeleteCheckpoint("vda", "c3"));
    assertEquals(List.of(3, 4, 7), rig.dirty("vda", "c2"));
    var _ = rig.transact(new TransactionAction.DeleteCheckpoint("vda", "c4"));
    rig.touch("vda", 8);
    assertEquals(List.of(3, 4, 7, 8), rig.dirty("vda", "c2"));
    var _ = rig.transact(new TransactionAction.DeleteCheckpoint("vda", "c1"));
    assertEquals(List.of("c2"), checkpoints("vda"));
    assertEquals(List.of(3, 4, 7, 8), rig.dirty("vda", "c2"));
  }

  @Test
  void pendingCheckpointCannotBeUsedOrDeleted() throws IOException {
    base();
    var _ = rig.take("inc", "c2", "c1");
    IOException since = assertThrows(IOException.class, () -> rig.take("next", "c3", "c2"));
    assertEquals(
        "checkpoint c2 of disk vda waits for its backup: release snapshot inc first,"
            + " with --success if the backup succeeded",
        EngineRig.message(since));
    IOException delete =
        assertThrows(
            IOException.class,
            () -> rig.transact(new TransactionAction.DeleteCheckpoint("vda", "c2")));
    assertEquals(EngineRig.message(since), EngineRig.message(delete));
    assertEquals(List.of("c1", "c2"), checkpoints("vda"));
  }

  @Test
  void severalPendingSnapshotsSettleInAnyOrder() throws IOException {
    base();
    rig.touch("vda", 2);
    var _ = rig.take("a", "c2", "c1");
    rig.touch("vda", 3);
    var _ = rig.take("b", "c3", "c1");
    rig.touch("vda", 4);
    var _ = rig.engine().release("b", ReleaseOutcome.SUCCESS);
    var _ = rig.engine().release("a", ReleaseOutcome.FAILED);
    assertEquals(List.of("c1", "c3"), checkpoints("vda"));
    assertEquals(List.of(2, 3, 4), rig.dirty("vda", "c1"));
    assertEquals(List.of(4), rig.dirty("vda", "c3"));
  }

  @Test
  void releaseOfASnapshotWithACheckpointMustSayWhatBecameOfIt() throws IOException {
    base();
    var _ = rig.take("inc", "c2", "c1");
    List<Object> before = rig.everything();
    IOException refused = assertThrows(IOException.class, () -> rig.engine().release("inc"));
    assertEquals(
        "snapshot inc started checkpoint c2: say whether its backup succeeded"
            + " (release it with --success or --failed)",
        EngineRig.message(refused));
    assertEquals(before, rig.everything());
  }

  @Test
  void sinceMustBeOnEachDisk() throws IOException {
    base();
    var _ = rig.transact(new TransactionAction.DeleteCheckpoint("vdb", "c1"));
    List<Object> before = rig.everything();
    BitmapException refused =
        assertThrows(BitmapException.class, () -> rig.take("inc", "c2", "c1"));
    assertEquals(
        "disk vdb has no checkpoint or bitmap called c1 (it has: none); take a full backup first",
        EngineRig.message(refused));
    assertEquals(BitmapException.Reason.NOT_FOUND, refused.reason());
    assertEquals(before, rig.everything());
  }

  @Test
  void plainBitmapIsBusyWhileASnapshotIsSinceIt() throws IOException {
    var _ = rig.transact(EngineRig.add("vda", "b0"));
    rig.touch("vda", 6);
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request("s", Optional.empty(), Optional.of("b0"), "vda")));
    assertTrue(rig.info("vda", "b0").busy());
    assertEquals(List.of(6), EngineRig.granules(rig.exported("s", "vda")));
    TransactionAction clear = new TransactionAction.ClearBitmap(new BitmapRef("vda", "b0"));
    assertThrows(BitmapException.class, () -> rig.transact(clear));
    var _ = rig.engine().release("s");
    assertFalse(rig.info("vda", "b0").busy());
    var _ = rig.transact(clear);
    assertEquals(List.of(), rig.dirty("vda", "b0"));
  }

  @Test
  void timeIsUpEndsASnapshotAsFailed() throws Exception {
    base();
    rig.touch("vda", 3);
    BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();
    try (AutoCloseable _ = rig.engine().subscribe(events::add)) {
      SnapshotRequest.Lifetime minute =
          new SnapshotRequest.Lifetime(Optional.of(Duration.ofMinutes(1)), Optional.empty());
      var _ =
          EngineRig.get(
              rig.engine()
                  .snapshot(
                      EngineRig.request("inc", Optional.of("c2"), Optional.of("c1"), minute)));
      assertTrue(events.poll(10, TimeUnit.SECONDS) instanceof EngineEvent.SnapshotCreated);
      rig.nowNanos.addAndGet(Duration.ofSeconds(59).toNanos());
      rig.engine().tickLifetimes();
      assertEquals(List.of("c1", "c2"), checkpoints("vda"));
      assertEquals(
          new EngineEvent.SnapshotNearLimit("inc", EngineEvent.Limit.TTL, 59, 60),
          events.poll(10, TimeUnit.SECONDS));
      rig.nowNanos.addAndGet(Duration.ofSeconds(1).toNanos());
      rig.engine().tickLifetimes();
      assertEquals(
          new EngineEvent.SnapshotEnded(
              "inc", Optional.of(false), Optional.of("its time is up: 60 s")),
          events.poll(10, TimeUnit.SECONDS));
    }
    assertEquals(List.of("c1"), checkpoints("vda"));
    assertEquals(List.of(3), rig.dirty("vda", "c1"));
    assertTrue(rig.engine().snapshots().isEmpty());
  }

  private SnapshotClients clientsOfOneThatMayIdleForTenSeconds() throws Exception {
    SnapshotRequest.Lifetime idle =
        new SnapshotRequest.Lifetime(Optional.empty(), Optional.of(Duration.ofSeconds(10)));
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request("s", Optional.empty(), Optional.empty(), idle)));
    return rig.engine().takenSnapshot("s").orElseThrow().parts().getFirst().clients();
  }

  @Test
  void idleTimeBeginsAgainWhenAClientLeaves() throws Exception {
    SnapshotClients clients = clientsOfOneThatMayIdleForTenSeconds();
    clients.came();
    rig.nowNanos.addAndGet(Duration.ofSeconds(60).toNanos());
    rig.engine().tickLifetimes();
    clients.left();
    rig.nowNanos.addAndGet(Duration.ofSeconds(9).toNanos());
    rig.engine().tickLifetimes();
    assertEquals(1, rig.engine().snapshots().size());
    rig.nowNanos.addAndGet(Duration.ofSeconds(1).toNanos());
    rig.engine().tickLifetimes();
    Awaitility.await().until(() -> rig.engine().snapshots().isEmpty());
  }

  @Test
  void clientsThatComeAndGoBetweenTwoLooksAreSeen() throws Exception {
    SnapshotClients clients = clientsOfOneThatMayIdleForTenSeconds();
    for (int i = 0; i < 12; i++) {
      clients.came();
      clients.left();
      rig.nowNanos.addAndGet(Duration.ofSeconds(6).toNanos());
      rig.engine().tickLifetimes();
      rig.nowNanos.addAndGet(Duration.ofSeconds(3).toNanos());
      rig.engine().tickLifetimes();
      assertEquals(1, rig.engine().snapshots().size());
    }
    rig.nowNanos.addAndGet(Duration.ofSeconds(7).toNanos());
    rig.engine().tickLifetimes();
    Awaitility.await().until(() -> rig.engine().snapshots().isEmpty());
  }

  @Test
  void cleanStopUndoesWhatIsPendingAndKeepsTheRest() throws IOException {
    base();
    rig.touch("vda", 3);
    var _ = rig.take("inc", "c2", "c1");
    rig.touch("vda", 9);
    rig.restart();
    assertEquals(List.of("c1"), checkpoints("vda"));
    assertEquals(List.of(3, 9), rig.dirty("vda", "c1"));
    rig.touch("vda", 10);
    assertEquals(List.of(3, 9, 10), rig.dirty("vda", "c1"));
  }

  @Test
  void killUndoesWhatIsPendingAndKeepsTheRest() throws IOException {
    base();
    var _ = rig.transact(EngineRig.add("vdb", "kept", true), EngineRig.add("vdb", "gone"));
    rig.touch("vda", 3);
    rig.touch("vdb", 1);
    var _ = rig.take("inc", "c2", "c1");
    rig.touch("vda", 9);
    rig.killAndRestart();
    assertEquals(List.of("c1"), checkpoints("vda"));
    assertEquals(List.of(3, 9), rig.dirty("vda", "c1"));
    assertEquals(
        List.of("c1", "kept"), rig.engine().bitmaps("vdb").stream().map(BitmapInfo::name).toList());
    assertEquals(List.of(1), rig.dirty("vdb", "kept"));
  }

  @Test
  void damagedStretchMakesTheIncrementalFailAndAFullOneStartsAfresh() throws IOException {
    base();
    rig.states.stored("vda").damaged.add("c1");
    rig.restart();
    assertTrue(rig.engine().checkpoints("vda").getFirst().inconsistent());
    BitmapException refused =
        assertThrows(BitmapException.class, () -> rig.take("inc", "c2", "c1"));
    assertEquals(
        "Bitmap 'c1' is inconsistent and cannot be used: what was written to disk vda since c1"
            + " is not known; take a full backup",
        EngineRig.message(refused));
    assertEquals(BitmapException.Reason.INCONSISTENT, refused.reason());
    rig.states.stored("vda").damaged.clear();
    var _ = rig.take("full2", "d1");
    var _ = rig.engine().release("full2", ReleaseOutcome.SUCCESS);
    rig.touch("vda", 4);
    var _ = rig.take("inc2", "d2", "d1");
    assertEquals(List.of(4), EngineRig.granules(rig.exported("inc2", "vda")));
    var _ = rig.transact(new TransactionAction.DeleteCheckpoint("vda", "c1"));
    assertEquals(List.of("d1", "d2"), checkpoints("vda"));
  }

  @Test
  void failedCommitOfAReleaseLeavesTheSnapshot() throws IOException {
    base();
    rig.touch("vda", 3);
    var _ = rig.take("inc", "c2", "c1");
    List<Object> before = rig.everything();
    rig.states.commitsBeforeFailure.set(0);
    assertThrows(IOException.class, () -> rig.engine().release("inc", ReleaseOutcome.SUCCESS));
    assertEquals(before, rig.everything());
    var _ = rig.engine().release("inc", ReleaseOutcome.SUCCESS);
    assertTrue(rig.engine().snapshots().isEmpty());
  }

  @Test
  void lostStateLeavesBitmapsInMemory() throws Exception {
    base();
    BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();
    try (AutoCloseable _ = rig.engine().subscribe(events::add)) {
      rig.states.stored("vda").lost.accept("disk full");
      assertEquals(
          new EngineEvent.StateLost("vda", "disk full"), events.poll(10, TimeUnit.SECONDS));
    }
    rig.touch("vda", 3);
    rig.states.commitsBeforeFailure.set(0);
    rig.states.staysBroken = true;
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request("inc", Optional.of("c2"), Optional.of("c1"), "vda")));
    assertEquals(List.of(3), EngineRig.granules(rig.exported("inc", "vda")));
    BitmapException refused =
        assertThrows(BitmapException.class, () -> rig.transact(EngineRig.add("vda", "b", true)));
    assertEquals(
        "Can't store persistent bitmaps to vda: Operation not supported",
        EngineRig.message(refused));
    var _ = rig.engine().release("inc", ReleaseOutcome.SUCCESS);
  }

  @Test
  void diskWithASnapshotOrAClientIsNotRemoved() throws IOException {
    base();
    var _ = rig.take("inc", "c2", "c1");
    assertThrows(DiskBusyException.class, () -> rig.engine().removeDisk("vda"));
    var _ = rig.engine().release("inc", ReleaseOutcome.FAILED);
    assertTrue(rig.disk("vda").users().entered());
    assertThrows(DiskBusyException.class, () -> rig.engine().removeDisk("vda"));
    rig.disk("vda").users().left();
    rig.touch("vda", 3);
    rig.engine().removeDisk("vda");
    assertTrue(rig.engine().disk("vda").isEmpty());
    assertTrue(rig.states.stored("vda").clean);
    var _ =
        rig.engine()
            .addDisk(
                new DiskConfig("vda", rig.file("vda").toString(), DiskConfig.Access.READ_WRITE));
    assertEquals(List.of(3), rig.dirty("vda", "c1"));
  }
}
