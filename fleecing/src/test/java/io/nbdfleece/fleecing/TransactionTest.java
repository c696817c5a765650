// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// All or nothing, at each position and however it fails.
@Timeout(60)
final class TransactionTest {
  @TempDir private Path directory;
  private EngineRig rig;

  @BeforeEach
  void open() throws IOException {
    rig = new EngineRig(directory, true, "vda", "vdb");
    for (String disk : List.of("vda", "vdb")) {
      var _ =
          rig.transact(
              EngineRig.add(disk, "on"),
              EngineRig.add(disk, "kept", true),
              new TransactionAction.AddBitmap(
                  new BitmapRef(disk, "off"), OptionalInt.of(512), true, true));
    }
    var _ = rig.take("full", "c1");
    var _ = rig.engine().release("full", ReleaseOutcome.SUCCESS);
    rig.touch("vda", 1);
    rig.touch("vdb", 2);
    var _ = rig.take("inc", "c2", "c1");
    var _ = rig.engine().release("inc", ReleaseOutcome.SUCCESS);
    rig.touch("vda", 3);
    rig.touch("vdb", 4);
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  private static BitmapRef vda(String name) {
    return new BitmapRef("vda", name);
  }

  /// One action of each kind, which on its own succeeds.
  private static Map<String, TransactionAction> eachKind() {
    Map<String, TransactionAction> kinds = new LinkedHashMap<>();
    kinds.put("add", EngineRig.add("vdb", "new", false));
    kinds.put("add persistent", EngineRig.add("vda", "new", true));
    kinds.put("remove", new TransactionAction.RemoveBitmap(vda("on")));
    kinds.put("remove persistent", new TransactionAction.RemoveBitmap(vda("kept")));
    kinds.put("clear", new TransactionAction.ClearBitmap(vda("kept")));
    kinds.put("enable", new TransactionAction.EnableBitmap(vda("off")));
    kinds.put("disable", new TransactionAction.DisableBitmap(vda("kept")));
    kinds.put(
        "merge",
        new TransactionAction.MergeBitmaps(
            vda("off"), List.of(vda("on"), new BitmapRef("vdb", "kept"))));
    kinds.put(
        "mark",
        new TransactionAction.MarkDirty(
            vda("kept"), List.of(new TransactionAction.Range(900_000, 10))));
    kinds.put("delete checkpoint", new TransactionAction.DeleteCheckpoint("vda", "c2"));
    kinds.put(
        "snapshot",
        new TransactionAction.TakeSnapshot(
            EngineRig.request("s", Optional.of("c3"), Optional.of("c1"))));
    return kinds;
  }

  @TestFactory
  List<DynamicTest> abortAfterEachKindOfActionChangesNothing() {
    List<DynamicTest> tests = new ArrayList<>();
    eachKind()
        .forEach(
            (kind, action) ->
                tests.add(
                    dynamicTest(
                        kind,
                        () -> {
                          List<Object> before = rig.everything();
                          BitmapException aborted =
                              assertThrows(
                                  BitmapException.class,
                                  () -> rig.transact(action, new TransactionAction.Abort()));
                          assertEquals(
                              "Transaction aborted using Abort action", EngineRig.message(aborted));
                          assertEquals(before, rig.everything());
                        })));
    return tests;
  }

  @Test
  void abortAtEachPositionOfALongTransactionChangesNothing() throws IOException {
    List<TransactionAction> all = longOne();
    List<Object> before = rig.everything();
    for (int position = 0; position <= all.size(); position++) {
      List<TransactionAction> actions = new ArrayList<>(all);
      actions.add(position, new TransactionAction.Abort());
      assertThrows(BitmapException.class, () -> EngineRig.get(rig.engine().transact(actions)));
      assertEquals(before, rig.everything(), "abort at " + position);
    }
    var _ = EngineRig.get(rig.engine().transact(all));
    assertEquals(List.of(3), EngineRig.granules(rig.exported("s", "vda")));
  }

  private static List<TransactionAction> longOne() {
    return List.of(
        EngineRig.add("vda", "new", true),
        EngineRig.add("vdb", "new", true),
        new TransactionAction.MergeBitmaps(vda("new"), List.of(vda("kept"))),
        new TransactionAction.ClearBitmap(vda("kept")),
        new TransactionAction.DisableBitmap(vda("on")),
        new TransactionAction.TakeSnapshot(
            EngineRig.request("s", Optional.of("c3"), Optional.of("c2"))),
        new TransactionAction.RemoveBitmap(vda("off")));
  }

  @Test
  void failureOfEachCommitChangesNothing() throws IOException {
    List<Object> before = rig.everything();
    for (int commit = 0; commit < 3; commit++) { // two lists, and the decision
      rig.states.commitsBeforeFailure.set(commit);
      IOException failed =
          assertThrows(IOException.class, () -> EngineRig.get(rig.engine().transact(longOne())));
      assertEquals("no space left on device", EngineRig.message(failed));
      assertEquals(before, rig.everything(), "commit " + commit);
    }
    rig.touch("vda", 7);
    assertEquals(List.of(1, 3, 7), rig.dirty("vda", "c1"));
    rig.killAndRestart();
    assertEquals(List.of(1, 3, 7), rig.dirty("vda", "c1"));
    assertEquals(List.of(1, 3, 7), rig.dirty("vda", "kept"));
  }

  /// In the moment of the commit, with the gates open and the configuration not yet known.
  private void touch(int granule) {
    try {
      rig.touch("vda", granule);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void killBeforeTheCommitFindsWhatWasWrittenAfterTheDrain() throws IOException {
    rig.states.beforeCommit =
        () -> {
          touch(9);
          rig.states.kill();
        };
    assertThrows(
        IOException.class,
        () ->
            EngineRig.get(
                rig.engine()
                    .snapshot(
                        EngineRig.request("s", Optional.of("c3"), Optional.of("c1"), "vda"))));
    rig.states.beforeCommit = () -> {};
    rig.killAndRestart();
    assertEquals(List.of(1, 3, 9), rig.dirty("vda", "c1"));
    assertEquals(List.of(3, 9), rig.dirty("vda", "c2"));
  }

  @Test
  void killAfterTheCommitFindsWhatWasWrittenBeforeItAndAfterIt() throws IOException {
    rig.states.beforeCommit = () -> touch(9);
    rig.states.afterCommit =
        () -> {
          touch(10);
          rig.states.kill();
        };
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request("s", Optional.of("c3"), Optional.of("c1"), "vda")));
    rig.states.beforeCommit = () -> {};
    rig.states.afterCommit = () -> {};
    rig.killAndRestart();
    assertEquals(List.of(1, 3, 9, 10), rig.dirty("vda", "c1"));
    assertEquals(List.of(3, 9, 10), rig.dirty("vda", "c2"));
  }

  @Test
  void writeBetweenDrainAndFailedCommitIsInTheOldBitmaps() throws IOException {
    rig.states.beforeCommit = () -> touch(9);
    rig.states.commitsBeforeFailure.set(0);
    assertThrows(
        IOException.class, () -> rig.transact(new TransactionAction.ClearBitmap(vda("kept"))));
    rig.states.beforeCommit = () -> {};
    assertEquals(List.of(1, 3, 9), rig.dirty("vda", "kept"));
  }

  /// Has the process killed while a transaction changes both disks.
  private void killIn(Runnable before, Runnable after) throws IOException {
    rig.states.beforeCommit = before;
    rig.states.afterCommit = after;
    CompletableFuture<FleecingEngine.TransactionResult> killed =
        rig.engine()
            .transact(
                List.of(
                    new TransactionAction.DeleteCheckpoint("vda", "c2"),
                    new TransactionAction.DeleteCheckpoint("vdb", "c2"),
                    new TransactionAction.ClearBitmap(vda("kept")),
                    new TransactionAction.ClearBitmap(new BitmapRef("vdb", "kept"))));
    try {
      var _ = EngineRig.get(killed);
    } catch (IOException e) {
      assertEquals("killed", EngineRig.message(e));
    }
    rig.states.beforeCommit = () -> {};
    rig.states.afterCommit = () -> {};
    rig.killAndRestart();
  }

  private List<String> checkpoints(String disk) throws IOException {
    return rig.engine().checkpoints(disk).stream().map(CheckpointInfo::name).toList();
  }

  @Test
  void killBetweenTheListsOfTwoDisksChangesNeither() throws IOException {
    AtomicInteger lists = new AtomicInteger();
    killIn(
        () -> {
          touch(9);
          if (lists.incrementAndGet() == 2) {
            rig.states.kill();
          }
        },
        () -> {});
    assertEquals(2, lists.get());
    for (String disk : List.of("vda", "vdb")) {
      assertEquals(List.of("c1", "c2"), checkpoints(disk));
    }
    assertEquals(List.of(1, 3, 9), rig.dirty("vda", "kept"));
    assertEquals(List.of(2, 4), rig.dirty("vdb", "kept"));
    assertEquals(List.of(1, 3, 9), rig.dirty("vda", "c1"));
  }

  @Test
  void killBetweenTheDisksAfterTheDecisionChangesBoth() throws IOException {
    AtomicInteger lists = new AtomicInteger();
    killIn(
        () -> touch(9),
        () -> {
          lists.incrementAndGet();
          touch(10);
          try {
            rig.touch("vdb", 11);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
          rig.states.kill();
        });
    assertEquals(1, lists.get(), "one disk has taken its list over when the other is killed");
    for (String disk : List.of("vda", "vdb")) {
      assertEquals(List.of("c1"), checkpoints(disk));
    }
    assertEquals(List.of(9, 10), rig.dirty("vda", "kept"));
    assertEquals(List.of(11), rig.dirty("vdb", "kept"));
    assertEquals(List.of(1, 3, 9, 10), rig.dirty("vda", "c1"));
    assertEquals(List.of(2, 4, 11), rig.dirty("vdb", "c1"));
  }

  @Test
  void whenNoCommitWorksAnyMoreWhatTheStateNamesStaysTrue() throws IOException {
    List<Object> before = rig.everything();
    rig.states.commitsBeforeFailure.set(1);
    rig.states.staysBroken = true;
    assertThrows(IOException.class, () -> EngineRig.get(rig.engine().transact(longOne())));
    assertEquals(before, rig.everything());
    rig.touch("vda", 7);
    rig.states.staysBroken = false;
    rig.states.commitsBeforeFailure.set(-1);
    rig.killAndRestart();
    assertEquals(List.of(1, 3, 7), rig.dirty("vda", "kept"));
    assertEquals(List.of(3, 7), rig.dirty("vda", "c2"));
  }

  @Test
  void eachActionSeesWhatThoseBeforeItDid() throws IOException {
    var _ =
        rig.transact(
            EngineRig.add("vda", "copy"),
            new TransactionAction.DisableBitmap(vda("copy")),
            new TransactionAction.MergeBitmaps(vda("copy"), List.of(vda("on"))),
            new TransactionAction.ClearBitmap(vda("on")));
    assertEquals(List.of(1, 3), rig.dirty("vda", "copy"));
    assertEquals(List.of(), rig.dirty("vda", "on"));
    assertFalse(rig.info("vda", "copy").recording());
  }

  @Test
  void snapshotAndClearAreAtOneInstant() throws IOException {
    var _ =
        rig.transact(
            new TransactionAction.TakeSnapshot(
                EngineRig.request("s", Optional.empty(), Optional.of("on"), "vda")),
            new TransactionAction.ClearBitmap(vda("on")));
    rig.touch("vda", 9);
    assertEquals(List.of(1, 3), EngineRig.granules(rig.exported("s", "vda")));
    assertEquals(List.of(9), rig.dirty("vda", "on"));
  }

  @Test
  void oneTransactionTakesOneSnapshot() {
    TransactionAction take =
        new TransactionAction.TakeSnapshot(
            EngineRig.request("s", Optional.empty(), Optional.empty()));
    TransactionAction another =
        new TransactionAction.TakeSnapshot(
            EngineRig.request("t", Optional.empty(), Optional.empty()));
    BitmapException refused =
        assertThrows(BitmapException.class, () -> rig.transact(take, another));
    assertEquals("a transaction takes at most one snapshot", EngineRig.message(refused));
    assertThrows(BitmapException.class, () -> rig.transact(take, another), "the name is free");
  }

  private BitmapContent content(String name) {
    return rig.disk("vda").tracking().current().find(name).orElseThrow().content();
  }

  @Test
  void whatDoesNotRecordAndHasAFileIsNotKeptInMemory() throws IOException {
    rig.touch("vda", 5);
    var _ = rig.transact(new TransactionAction.DisableBitmap(vda("kept")));
    rig.touch("vda", 6);
    for (String idle : List.of("kept", "off", "c1")) {
      assertInstanceOf(BitmapContent.Sealed.class, content(idle), idle);
    }
    assertEquals(List.of(1, 3, 5), rig.dirty("vda", "kept"));
    var _ = rig.transact(new TransactionAction.EnableBitmap(vda("kept")));
    rig.touch("vda", 7);
    assertInstanceOf(BitmapContent.Live.class, content("kept"));
    assertEquals(List.of(1, 3, 5, 7), rig.dirty("vda", "kept"));
  }

  @Test
  void unknownDiskIsNamed() {
    NoSuchDiskException error =
        assertThrows(NoSuchDiskException.class, () -> rig.transact(EngineRig.add("vdz", "b")));
    assertEquals("no disk is called vdz (disks: vda, vdb)", EngineRig.message(error));
  }

  @Test
  void bitmapInUseIsBusyUntilItIsGivenBack() throws IOException {
    try (BitmapUse use = rig.engine().useBitmap(vda("on"))) {
      HeapBitArray bits = (HeapBitArray) use.current();
      assertEquals(List.of(1, 3), EngineRig.granules(bits.toSet()));
      assertTrue(rig.info("vda", "on").busy());
      BitmapException busy =
          assertThrows(
              BitmapException.class,
              () -> rig.transact(new TransactionAction.RemoveBitmap(vda("on"))));
      assertEquals(BitmapException.Reason.BUSY, busy.reason());
      assertThrows(BitmapException.class, () -> rig.engine().useBitmap(vda("on")));
      assertThrows(BitmapException.class, () -> rig.engine().useBitmap(vda("c1")));
      rig.touch("vda", 5);
      assertSame(bits, use.current(), "what is recorded into is never copied");
      assertEquals(List.of(1, 3, 5), EngineRig.granules(bits.toSet()));
    }
    var _ = rig.transact(new TransactionAction.RemoveBitmap(vda("on")));
  }

  @Test
  void transactionsAtTheSameTimeTakeTurns() throws IOException {
    List<CompletableFuture<FleecingEngine.TransactionResult>> all = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      all.add(rig.engine().transact(List.of(EngineRig.add("vda", "b" + i))));
      all.add(rig.engine().transact(List.of(new TransactionAction.RemoveBitmap(vda("b" + i)))));
    }
    for (CompletableFuture<FleecingEngine.TransactionResult> one : all) {
      var _ = EngineRig.get(one);
    }
    assertTrue(rig.engine().bitmaps("vda").stream().noneMatch(b -> b.name().startsWith("b")));
  }

  @Test
  void filesOfATransactionThatFailedAreDeleted() throws IOException {
    int files = rig.states.stored("vda").files.size();
    assertThrows(
        BitmapException.class,
        () -> rig.transact(EngineRig.add("vda", "new", true), EngineRig.add("vda", "new", true)));
    assertEquals(files, rig.states.stored("vda").files.size());
  }
}
