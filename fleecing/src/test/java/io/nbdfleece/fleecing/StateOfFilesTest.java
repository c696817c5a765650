// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static io.nbdfleece.fleecing.EngineRig.GRANULE;
import static io.nbdfleece.fleecing.EngineRig.SIZE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskConfig.Access;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.DirtyBits;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Real files of disks and of their state, and what others do to them.
@Timeout(60)
final class StateOfFilesTest {
  private static final int COMPILED_AFTER = 20_000;

  private final BlockingQueue<EngineEvent> events = new LinkedBlockingQueue<>();

  @TempDir private Path directory;

  @BeforeEach
  void makeDisk() throws IOException {
    Files.write(disk(), new byte[SIZE]);
    try (FleecingEngine engine = serve(Access.READ_WRITE)) {
      var _ = EngineRig.get(engine.transact(List.of(EngineRig.add("vda", "kept", true))));
      touch(engine, 3);
    }
  }

  private Path disk() {
    return directory.resolve("vda.img");
  }

  private FleecingEngine serve(Access access) throws IOException {
    FleecingEngine engine =
        FleecingEngine.open(
            new EngineConfig(GRANULE, 4 << 20, directory, 0, 2),
            Optional.of(DiskStates.in(directory.resolve("state"))),
            System::nanoTime);
    var _ = engine.addDisk(new DiskConfig("vda", disk().toString(), access));
    return engine;
  }

  private static void touch(FleecingEngine engine, int granule) throws IOException {
    EngineRig.Done done = new EngineRig.Done();
    ByteBuffer one = ByteBuffer.allocateDirect(1);
    engine
        .disk("vda")
        .orElseThrow()
        .top()
        .apply(new Mutation.Write((long) granule * GRANULE, one, Mutation.Durability.CACHED), done);
    var _ = EngineRig.get(done.future);
  }

  /// As another program does it.
  private void writeAside() throws IOException {
    Files.write(disk(), new byte[] {1}, StandardOpenOption.WRITE);
  }

  private static BitmapInfo kept(FleecingEngine engine) throws IOException {
    return engine.bitmaps("vda").getFirst();
  }

  private void assertKept(boolean exact) throws IOException {
    try (FleecingEngine engine = serve(Access.READ_WRITE)) {
      assertEquals(!exact, kept(engine).inconsistent());
      if (exact) {
        assertEquals(List.of(3), EngineRig.granules(engine.dirtySince("vda", "kept")));
      }
    }
  }

  @Test
  void servedReadOnlyAndNotChangedItIsKept() throws IOException {
    serve(Access.READ_ONLY).close();
    assertKept(true);
  }

  @Test
  void whatAnotherProgramWroteWhileItWasServedReadOnlyIsFound() throws IOException {
    try (FleecingEngine _ = serve(Access.READ_ONLY)) {
      writeAside();
    }
    assertKept(false);
  }

  @Test
  void itIsToldAsSoonAsAnotherProgramWrites() throws Exception {
    try (FleecingEngine engine = serve(Access.READ_ONLY);
        EventSubscription _ = engine.subscribe(events::add)) {
      writeAside();
      EngineEvent told = events.poll(30, TimeUnit.SECONDS);
      assertEquals(
          new EngineEvent.BitmapInconsistent(
              "vda",
              "kept",
              "another program has written to the disk, which is served read-only, so it is tracked"
                  + " again only when it is served anew"),
          told);
      assertTrue(kept(engine).inconsistent());
    }
  }

  @Test
  void snapshotsOfADiskThatAnotherProgramWritesToAreBroken() throws Exception {
    try (FleecingEngine engine = serve(Access.READ_ONLY)) {
      var _ =
          EngineRig.get(
              engine.snapshot(EngineRig.request("s", Optional.of("c1"), Optional.empty(), "vda")));
      writeAside();
      IOException refused =
          assertThrows(IOException.class, () -> engine.release("s", ReleaseOutcome.SUCCESS));
      assertTrue(String.valueOf(refused.getMessage()).contains("is broken"), refused.toString());
      String reason =
          engine.snapshots().getFirst().disks().getFirst().brokenBecause().orElseThrow();
      assertTrue(reason.contains("another program has written"), reason);
      var _ = engine.release("s", ReleaseOutcome.FAILED);
      var _ =
          EngineRig.get(
              engine.snapshot(EngineRig.request("t", Optional.empty(), Optional.empty(), "vda")));
      assertTrue(engine.snapshots().getFirst().disks().getFirst().brokenBecause().isEmpty());
      writeAside();
      Awaitility.await()
          .until(
              () -> engine.snapshots().getFirst().disks().getFirst().brokenBecause().isPresent());
    }
  }

  @Test
  void aDiskThatIsRenamedAndBackAgainKeepsItsBitmaps() throws IOException {
    Path away = directory.resolve("away.img");
    try (FleecingEngine engine = serve(Access.READ_WRITE)) {
      Files.move(disk(), away);
      Files.write(disk(), new byte[SIZE]);
      var _ =
          EngineRig.get(
              engine.snapshot(EngineRig.request("s", Optional.of("c1"), Optional.empty(), "vda")));
      var _ = engine.release("s", ReleaseOutcome.SUCCESS);
      assertFalse(engine.checkpoints("vda").getFirst().inconsistent());
    }
    Files.delete(disk());
    Files.move(away, disk());
    assertKept(true);
  }

  @Test
  void aCopyInItsPlaceIsAnotherDisk() throws IOException {
    Path copy = Files.copy(disk(), directory.resolve("copy.img"));
    Files.setLastModifiedTime(copy, Files.getLastModifiedTime(disk()));
    Files.delete(disk());
    Files.move(copy, disk());
    assertKept(false);
  }

  /// As by a device that fails, or a file system that has been shut down.
  private void cutFiles(String suffix) throws IOException {
    try (Stream<Path> files = Files.walk(directory.resolve("state"))) {
      for (Path file : files.filter(each -> each.toString().endsWith(suffix)).toList()) {
        try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
          cut.setLength(0);
        }
      }
    }
  }

  @Test
  void memoryThatFailsWhenItIsLookedAtCostsTheBitmap() throws IOException {
    try (FleecingEngine engine = serve(Access.READ_WRITE);
        BitmapUse use = engine.useBitmap(new BitmapRef("vda", "kept"))) {
      DirtyBits bits = use.current();
      assertEquals(3L * GRANULE, bits.nextDirty(0, SIZE));
      cutFiles(".live");
      assertThrows(InternalError.class, () -> bits.nextDirty(0, SIZE));
      assertThrows(UncheckedIOException.class, use::current);
      assertTrue(kept(engine).inconsistent());
    }
  }

  @Test
  void memoryThatFailsCostsTheBitmapAndNoGuestAnything() throws Exception {
    try (FleecingEngine engine = serve(Access.READ_WRITE);
        EventSubscription _ = engine.subscribe(events::add)) {
      for (int i = 0; i < COMPILED_AFTER; i++) { // compiled code tells of the error later
        touch(engine, 3);
      }
      cutFiles(".live");
      for (int granule = 4; granule < 12; granule++) {
        touch(engine, granule);
      }
      Awaitility.await().until(() -> kept(engine).inconsistent());
      touch(engine, 8);
      var _ =
          EngineRig.get(
              engine.snapshot(EngineRig.request("s", Optional.empty(), Optional.empty(), "vda")));
      EngineEvent told = events.poll(30, TimeUnit.SECONDS);
      assertTrue(told instanceof EngineEvent.StateLost, () -> "" + told);
    }
    try (FleecingEngine engine = serve(Access.READ_WRITE)) {
      assertEquals(List.of(), engine.bitmaps("vda"));
    }
  }

  private static void take(FleecingEngine engine, String name, String checkpoint)
      throws IOException {
    var _ =
        EngineRig.get(
            engine.snapshot(
                EngineRig.request(name, Optional.of(checkpoint), Optional.empty(), "vda")));
  }

  /// Else its copies would fill the store, and be kept for ever.
  @Test
  void snapshotWhoseCheckpointsMemoryFailedCanBeReleasedAndTheNextOneTaken() throws Exception {
    try (FleecingEngine engine = serve(Access.READ_WRITE);
        EventSubscription _ = engine.subscribe(events::add)) {
      take(engine, "s1", "c1");
      var _ = engine.release("s1", ReleaseOutcome.SUCCESS);
      take(engine, "s2", "c2");
      cutFiles(".live");
      touch(engine, 7);
      for (EngineEvent told = events.poll(30, TimeUnit.SECONDS);
          !(told instanceof EngineEvent.StateLost);
          told = events.poll(30, TimeUnit.SECONDS)) {
        assertTrue(told != null, "that the state is lost is told");
      }
      take(engine, "s3", "c3");
      for (String snapshot : List.of("s3", "s2")) {
        var _ = engine.release(snapshot, ReleaseOutcome.FAILED);
      }
      assertTrue(engine.checkpoints("vda").getFirst().inconsistent());
      take(engine, "s4", "c4");
      touch(engine, 9);
      assertEquals(List.of(9), EngineRig.granules(engine.dirtySince("vda", "c4")));
    }
  }

  @Test
  void snapshotWhoseCheckpointIsBehindOneThatCannotBeReadCanBeReleased() throws IOException {
    try (FleecingEngine engine = serve(Access.READ_WRITE)) {
      take(engine, "s1", "c1");
      var _ = engine.release("s1", ReleaseOutcome.SUCCESS);
      take(engine, "s2", "c2");
      cutFiles(".set");
      var _ = engine.release("s2", ReleaseOutcome.FAILED);
      assertTrue(engine.checkpoints("vda").getFirst().inconsistent());
    }
    try (FleecingEngine engine = serve(Access.READ_WRITE)) {
      assertTrue(engine.checkpoints("vda").getFirst().inconsistent());
      assertFalse(kept(engine).inconsistent());
    }
  }
}
