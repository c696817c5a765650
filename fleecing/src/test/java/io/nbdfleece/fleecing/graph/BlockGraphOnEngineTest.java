// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.graph;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.ReleaseOutcome;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.TransactionAction;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.CheckpointInfo;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.BackupAccess.BitmapAction;
import io.nbdfleece.fleecing.graph.BackupAccess.BitmapMode;
import io.nbdfleece.fleecing.graph.BackupAccess.Device;
import io.nbdfleece.fleecing.graph.NodeSpec.Child;
import io.nbdfleece.fleecing.graph.NodeSpec.Driver;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// The graph on the real engine (needs removeDisk, transact, bitmaps, checkpoints).
@Timeout(60)
final class BlockGraphOnEngineTest {
  private static final int DISK_BYTES = 1 << 20;

  @TempDir Path directory = Path.of("");
  private Engine engine = never();

  private record Engine(FleecingEngine fleecing, BlockGraph graph) {}

  @SuppressWarnings("NullAway") // JUnit fills it before each test.
  private static Engine never() {
    return null;
  }

  @BeforeEach
  void serve() throws Exception {
    Files.write(directory.resolve("vda.img"), new byte[DISK_BYTES]);
    FleecingEngine fleecing =
        FleecingEngine.open(new EngineConfig(65536, 16 << 20, directory, 16 << 20, 4));
    var _ =
        fleecing.addDisk(
            new DiskConfig(
                "vda", directory.resolve("vda.img").toString(), DiskConfig.Access.READ_WRITE));
    engine = new Engine(fleecing, new BlockGraph(fleecing));
  }

  @AfterEach
  void stop() throws Exception {
    engine.graph().close();
    engine.fleecing().close();
  }

  private List<String> checkpoints() throws Exception {
    return engine.fleecing().checkpoints("vda").stream().map(CheckpointInfo::name).toList();
  }

  private List<String> bitmaps() throws Exception {
    return engine.fleecing().bitmaps("vda").stream().map(BitmapInfo::name).toList();
  }

  @Test
  void anAccessAndItsSuccessMoveTheChainOn() throws Exception {
    List<Device> use = List.of(new Device("vda", BitmapMode.USE));
    assertEquals(
        BitmapAction.MISSING_RECREATED, engine.graph().setUpAccess("pbs", use).getFirst().action());
    // All of the disk is dirty in what is exported.
    assertEquals(
        DISK_BYTES,
        engine
            .fleecing()
            .takenSnapshots()
            .getFirst()
            .parts()
            .getFirst()
            .dirty()
            .orElseThrow()
            .granules()
            .dirtyBytes());
    engine.graph().tearDownAccess("pbs", ReleaseOutcome.SUCCESS);
    assertEquals(List.of("pbs.1"), checkpoints());
    assertEquals(List.of("pbs.1"), bitmaps());
    assertEquals(BitmapAction.USED, engine.graph().setUpAccess("pbs", use).getFirst().action());
    engine.graph().tearDownAccess("pbs", ReleaseOutcome.FAILED);
    assertEquals(List.of("pbs.1"), checkpoints());
    assertEquals(BitmapAction.USED, engine.graph().setUpAccess("pbs", use).getFirst().action());
    engine.graph().tearDownAccess("pbs", ReleaseOutcome.SUCCESS);
    assertEquals(List.of("pbs.2"), checkpoints());
  }

  @Test
  void aNewBitmapForgetsTheOldChain() throws Exception {
    List<Device> fresh = List.of(new Device("vda", BitmapMode.NEW));
    var _ = engine.graph().setUpAccess("pbs", fresh);
    engine.graph().tearDownAccess("pbs", ReleaseOutcome.SUCCESS);
    var _ = engine.graph().setUpAccess("pbs", fresh);
    engine.graph().tearDownAccess("pbs", ReleaseOutcome.FAILED);
    assertEquals(List.of(), checkpoints());
  }

  @Test
  void writesThatWaitInAThrottleGoOnWhenItIsTakenOff() throws Exception {
    BlockGraph graph = engine.graph();
    graph.addThrottleGroup("tg", ThrottleLimits.NONE.with(Map.of("iops-total", 1L)));
    graph.add(new NodeSpec("t", new Driver.Throttle(new Child.Reference("vda"), "tg")));
    graph.setDrive("vda", "t");
    List<CompletableFuture<Void>> writes = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      writes.add(write("vda", i));
    }
    assertFalse(writes.getLast().isDone());
    graph.setDrive("vda", "vda");
    for (CompletableFuture<Void> write : writes) {
      write.get(10, TimeUnit.SECONDS);
    }
    graph.delete("t");
    graph.deleteThrottleGroup("tg");
  }

  /// A byte.
  private CompletableFuture<Void> write(String disk, long offsetBytes) {
    CompletableFuture<Void> written = new CompletableFuture<>();
    engine
        .fleecing()
        .disk(disk)
        .orElseThrow()
        .top()
        .apply(
            new Mutation.Write(
                offsetBytes, ByteBuffer.allocateDirect(1), Mutation.Durability.CACHED),
            new Completion() {
              @Override
              public void succeeded() {
                written.complete(null);
              }

              @Override
              public void failed(IOException error) {
                written.completeExceptionally(error);
              }
            });
    return written;
  }

  @Test
  void addedBackendsGoAgain() throws Exception {
    engine.graph().add(new NodeSpec("n", new Driver.NullBackend(DISK_BYTES, true, 0)));
    assertTrue(engine.fleecing().disk("n").isPresent());
    engine.graph().delete("n");
    assertTrue(engine.fleecing().disk("n").isEmpty());
  }

  @Test
  void aCopyBeforeWriteNodeTakesAnIncrementalSnapshot() throws Exception {
    var _ =
        engine
            .fleecing()
            .transact(
                List.of(
                    new TransactionAction.AddBitmap(
                        new BitmapRef("vda", "b0"), OptionalInt.empty(), false, false)))
            .get();
    engine.graph().add(new NodeSpec("n", new Driver.NullBackend(DISK_BYTES, true, 0)));
    engine
        .graph()
        .add(
            new NodeSpec(
                "cbw",
                new Driver.CopyBeforeWrite(
                    new Child.Reference("vda"),
                    new Child.Reference("n"),
                    Optional.of(new NodeSpec.Bitmap("vda", "b0")),
                    OnCbwError.BREAK_SNAPSHOT,
                    Duration.ofSeconds(45),
                    0)));
    engine.graph().setDrive("vda", "cbw");
    assertEquals(
        Optional.of("b0"),
        engine.fleecing().snapshots().getFirst().disks().getFirst().exportedBitmap());
    assertThrows(GraphException.class, () -> engine.graph().delete("cbw"));
    // What tools do next: the view's bitmap takes what the disk's has, which begins anew.
    engine.graph().add(new NodeSpec("sa", new Driver.SnapshotAccess(new Child.Reference("cbw"))));
    BitmapRef own = new BitmapRef("sa", "b0");
    BitmapRef disks = new BitmapRef("vda", "b0");
    var _ =
        engine
            .fleecing()
            .transact(
                List.of(
                    new TransactionAction.AddBitmap(own, OptionalInt.empty(), false, false),
                    new TransactionAction.MergeBitmaps(own, List.of(disks)),
                    new TransactionAction.ClearBitmap(disks)))
            .get();
    assertEquals(1, engine.fleecing().bitmaps("sa").size());
    engine.graph().delete("sa");
    assertThrows(NoSuchDiskException.class, () -> engine.fleecing().bitmaps("sa"));
    engine.graph().setDrive("vda", "vda");
    engine.graph().delete("cbw");
    engine.graph().delete("n");
  }

  /// The names of what is made in one go must not mix up whose bitmaps are meant.
  @Test
  void aViewAndTheDiskThatIsMadeWithItHaveBitmapsOfTheirOwn() throws Exception {
    NodeSpec base = new NodeSpec("base", new Driver.NullBackend(DISK_BYTES, true, 0));
    NodeSpec target = new NodeSpec("target", new Driver.NullBackend(DISK_BYTES, true, 0));
    NodeSpec copier =
        new NodeSpec(
            "cbw",
            new Driver.CopyBeforeWrite(
                new Child.Inline(base),
                new Child.Inline(target),
                Optional.empty(),
                OnCbwError.BREAK_SNAPSHOT,
                Duration.ofSeconds(45),
                0));
    engine.graph().add(new NodeSpec("sa", new Driver.SnapshotAccess(new Child.Inline(copier))));
    assertEquals(Optional.of("sa"), engine.graph().bitmapOwner("sa"));
    String disk = engine.graph().bitmapOwner("base").orElseThrow();
    var _ =
        engine
            .fleecing()
            .transact(
                List.of(
                    new TransactionAction.AddBitmap(
                        new BitmapRef(disk, "b0"), OptionalInt.empty(), false, false)))
            .get();
    write(disk, 0).get(10, TimeUnit.SECONDS);
    assertEquals(65536, engine.fleecing().bitmaps(disk).getFirst().dirtyBytes());
    assertEquals(List.of(), engine.fleecing().bitmaps("sa"));
  }
}
