// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest;
import io.nbdfleece.fleecing.block.FakeTimer;
import io.nbdfleece.fleecing.graph.BackupAccess.BitmapAction;
import io.nbdfleece.fleecing.graph.BackupAccess.BitmapMode;
import io.nbdfleece.fleecing.graph.BackupAccess.Device;
import io.nbdfleece.fleecing.graph.BackupAccess.Frozen;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class BackupAccessTest {
  private final FakeEngine engine = new FakeEngine();
  private final FakeTimer timer = new FakeTimer();
  private final BlockGraph graph =
      new BlockGraph(
          engine,
          source -> {
            throw new IOException("none");
          },
          node -> false,
          timer,
          () -> {});

  @BeforeEach
  void serveTwoDisks() {
    engine.serve("vda");
    engine.serve("vdb");
  }

  private Frozen setUp(BitmapMode mode) throws IOException {
    return graph.setUpAccess("pbs", List.of(new Device("vda", mode))).getFirst();
  }

  private void tearDown(ReleaseOutcome outcome) throws IOException {
    graph.tearDownAccess("pbs", outcome);
  }

  @Test
  void theFirstAccessTellsThatAllHasChanged() throws IOException {
    Frozen info = setUp(BitmapMode.USE);
    assertEquals(
        new Frozen(
            "access-vda",
            "vda",
            FakeEngine.DISK_BYTES,
            Optional.of("pbs"),
            BitmapAction.MISSING_RECREATED),
        info);
    assertEquals(List.of("mark vda pbs.all", "snapshot access-pbs of vda"), engine.log);
    SnapshotRequest request = engine.taken("access-pbs");
    assertEquals(Optional.of("pbs.all"), request.increment().sinceOf("vda"));
    assertEquals(Optional.of("pbs"), request.increment().exportedAs());
    assertEquals(Optional.of("pbs.1"), request.increment().checkpoint());
    assertEquals(
        Optional.of(new BlockGraph.Target.FrozenDisk("access-pbs", "vda")),
        graph.find("access-vda"));
  }

  @Test
  void afterASuccessTheNextAccessTellsWhatHasChangedSince() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    tearDown(ReleaseOutcome.SUCCESS);
    assertEquals(List.of("pbs.1"), engine.checkpointNames("vda"));
    assertTrue(engine.bitmapNames("vda").isEmpty());
    assertTrue(graph.find("access-vda").isEmpty());

    assertEquals(BitmapAction.USED, setUp(BitmapMode.USE).action());
    assertEquals(Optional.of("pbs.1"), engine.taken("access-pbs").increment().sinceOf("vda"));
    tearDown(ReleaseOutcome.SUCCESS);
    assertEquals(List.of("pbs.2"), engine.checkpointNames("vda"));
  }

  @Test
  void afterAFailureTheOldCheckpointStands() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    tearDown(ReleaseOutcome.SUCCESS);
    Frozen _ = setUp(BitmapMode.USE);
    tearDown(ReleaseOutcome.FAILED);
    assertEquals(List.of("pbs.1"), engine.checkpointNames("vda"));
    assertEquals(BitmapAction.USED, setUp(BitmapMode.USE).action());
  }

  @Test
  void aNewBitmapForgetsTheOldOneAtOnce() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    tearDown(ReleaseOutcome.SUCCESS);
    assertEquals(BitmapAction.NEW, setUp(BitmapMode.NEW).action());
    tearDown(ReleaseOutcome.FAILED);
    assertTrue(engine.checkpointNames("vda").isEmpty());
    assertEquals(BitmapAction.MISSING_RECREATED, setUp(BitmapMode.USE).action());
  }

  @Test
  void withoutABitmapThereIsNoCheckpoint() throws IOException {
    Frozen info = setUp(BitmapMode.NONE);
    assertEquals(BitmapAction.NOT_USED, info.action());
    assertTrue(info.bitmapName().isEmpty());
    assertTrue(engine.checkpointNames("vda").isEmpty());
    tearDown(ReleaseOutcome.SUCCESS);
    assertEquals("release access-pbs", engine.log.getLast());
  }

  @Test
  void doingWithoutABitmapRemovesTheOldOne() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    tearDown(ReleaseOutcome.SUCCESS);
    assertEquals(BitmapAction.NOT_USED_REMOVED, setUp(BitmapMode.NONE).action());
    assertTrue(engine.checkpointNames("vda").isEmpty());
  }

  @Test
  void aBitmapThatCannotBeTrustedIsMadeAnew() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    tearDown(ReleaseOutcome.SUCCESS);
    engine.spoil("vda", "pbs.1");
    assertEquals(BitmapAction.INVALID, setUp(BitmapMode.USE).action());
    assertEquals(Optional.of("pbs.all"), engine.taken("access-pbs").increment().sinceOf("vda"));
  }

  @Test
  void devicesOfOneAccessMayHaveDifferentModes() throws IOException {
    List<Frozen> infos =
        graph.setUpAccess(
            "pbs", List.of(new Device("vda", BitmapMode.USE), new Device("vdb", BitmapMode.NONE)));
    assertEquals(
        List.of(BitmapAction.MISSING_RECREATED, BitmapAction.NOT_USED),
        infos.stream().map(Frozen::action).toList());
    assertEquals("snapshot access-pbs of vda vdb", engine.log.getLast());
    tearDown(ReleaseOutcome.SUCCESS);
    assertEquals(List.of("pbs.1"), engine.checkpointNames("vda"));
    assertTrue(engine.checkpointNames("vdb").isEmpty());
  }

  @Test
  void targetsHaveChainsOfTheirOwn() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    List<Frozen> other = graph.setUpAccess("pbs.9", List.of(new Device("vda", BitmapMode.NEW)));
    assertEquals("access-vda-2", other.getFirst().nodeName());
    tearDown(ReleaseOutcome.SUCCESS);
    graph.tearDownAccess("pbs.9", ReleaseOutcome.SUCCESS);
    assertEquals(List.of("pbs.1", "pbs.9.1"), engine.checkpointNames("vda"));
  }

  @Test
  void theDevicesOfOneAccessHaveNodesOfTheirOwnWhateverTheirNames() throws IOException {
    engine.serve("vda-2");
    Frozen _ = setUp(BitmapMode.NEW);
    List<Frozen> both =
        graph.setUpAccess(
            "other",
            List.of(new Device("vda", BitmapMode.NEW), new Device("vda-2", BitmapMode.NEW)));
    for (Frozen each : both) {
      assertEquals(
          Optional.of(new BlockGraph.Target.FrozenDisk("access-other", each.device())),
          graph.find(each.nodeName()));
    }
  }

  @Test
  void whatDoesNotFitIsRefused() throws IOException {
    assertEquals(
        "Device 'vdx' not found",
        assertThrows(
                Exception.class,
                () -> graph.setUpAccess("pbs", List.of(new Device("vdx", BitmapMode.NEW))))
            .getMessage());
    tearDown(ReleaseOutcome.FAILED);
    Frozen _ = setUp(BitmapMode.NEW);
    assertEquals(
        "previous backup for target 'pbs' not finished",
        assertThrows(Exception.class, () -> setUp(BitmapMode.NEW)).getMessage());
    assertEquals(
        "cannot teardown backup access - got target other instead of pbs",
        assertThrows(Exception.class, () -> graph.tearDownAccess("other", ReleaseOutcome.FAILED))
            .getMessage());
    assertEquals(
        "Node access-vda is not owned by the monitor",
        assertThrows(Exception.class, () -> graph.delete("access-vda")).getMessage());
  }

  @Test
  void aSnapshotThatEndedBeforeIsNoSuccess() throws IOException {
    Frozen _ = setUp(BitmapMode.NEW);
    engine.release("access-pbs", Optional.of(ReleaseOutcome.FAILED));
    assertEquals(
        "backup access for target 'pbs': its snapshot 'access-pbs' has ended before, so the backup"
            + " does not count as a success: the next one covers what this one would have",
        assertThrows(Exception.class, () -> tearDown(ReleaseOutcome.SUCCESS)).getMessage());
    assertEquals(BitmapAction.MISSING_RECREATED, setUp(BitmapMode.USE).action());
  }

  @Test
  void whoeverElseCallsItASuccessItsProgramDecides() throws IOException {
    for (ReleaseOutcome told : ReleaseOutcome.values()) {
      Frozen _ = setUp(BitmapMode.NEW);
      tearDown(ReleaseOutcome.SUCCESS);
      List<String> before = engine.checkpointNames("vda");
      assertEquals(1, before.size());
      Frozen _ = setUp(BitmapMode.USE);
      engine.release("access-pbs", Optional.of(ReleaseOutcome.SUCCESS));
      if (told == ReleaseOutcome.SUCCESS) {
        assertThrows(Exception.class, () -> tearDown(told));
      } else {
        tearDown(told);
      }
      assertEquals(before, engine.checkpointNames("vda"));
    }
  }

  @Test
  void aSuccessThatIsRefusedLeavesTheCheckpointBefore() throws IOException {
    Frozen _ = setUp(BitmapMode.USE);
    tearDown(ReleaseOutcome.SUCCESS);
    Frozen _ = setUp(BitmapMode.USE);
    engine.brokenSnapshot = "access-pbs";
    IOException refused = assertThrows(IOException.class, () -> tearDown(ReleaseOutcome.SUCCESS));
    assertEquals("snapshot access-pbs is broken", refused.getMessage());
    assertEquals(List.of("pbs.1"), engine.checkpointNames("vda"));
    assertTrue(engine.snapshots.isEmpty());
    assertEquals(BitmapAction.USED, setUp(BitmapMode.USE).action());
  }

  @Test
  void anAccessWhoseSnapshotCannotBeReleasedStaysOpenUntilItCan() throws IOException {
    Frozen _ = setUp(BitmapMode.USE);
    engine.stuckSnapshot = "access-pbs";
    for (int i = 0; i < 2; i++) {
      IOException full = assertThrows(IOException.class, () -> tearDown(ReleaseOutcome.SUCCESS));
      assertEquals("snapshot access-pbs: no space left on device", full.getMessage());
      assertTrue(graph.find("access-vda").isPresent());
    }
    engine.stuckSnapshot = "";
    tearDown(ReleaseOutcome.SUCCESS);
    assertTrue(engine.snapshots.isEmpty());
    assertTrue(graph.find("access-vda").isEmpty());
    assertEquals(List.of("pbs.1"), engine.checkpointNames("vda"));
  }
}
