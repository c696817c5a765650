// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.Bitmaps;
import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.Lifetime;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.TransactionAction.ClearBitmap;
import io.nbdfleece.fleecing.TransactionAction.DisableBitmap;
import io.nbdfleece.fleecing.TransactionAction.EnableBitmap;
import io.nbdfleece.fleecing.TransactionAction.MergeBitmaps;
import io.nbdfleece.fleecing.TransactionAction.RemoveBitmap;
import io.nbdfleece.fleecing.TransactionAction.TakeSnapshot;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// A snapshot that leaves bitmaps free: whatever becomes of them, no write is in neither the
/// snapshot nor a bitmap that begins with it.
@Timeout(60)
final class FreeBitmapsTest {
  private static final BitmapRef B0 = new BitmapRef("vda", "b0");

  @TempDir private Path directory;
  private EngineRig rig;

  @BeforeEach
  void open() throws IOException {
    rig = new EngineRig(directory, true, "vda");
    var _ = rig.transact(EngineRig.add("vda", "b0", true));
    rig.touch("vda", 1);
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  private static TakeSnapshot take(String name, Bitmaps bitmaps) {
    return take(name, bitmaps, Outside.ERROR);
  }

  private static TakeSnapshot take(String name, Bitmaps bitmaps, Outside outside) {
    return new TakeSnapshot(
        new SnapshotRequest(
            List.of("vda"),
            Optional.of(name),
            Access.DISCARD,
            OnCbwError.BREAK_SNAPSHOT,
            Duration.ofSeconds(30),
            new Increment(
                Optional.empty(), Optional.of("b0"), Map.of(), Optional.empty(), outside, bitmaps),
            Lifetime.UNTIL_RELEASED));
  }

  private List<Integer> exported(String snapshot) {
    return EngineRig.granules(rig.exported(snapshot, "vda"));
  }

  @Test
  void aBitmapThatIsClearedKeepsWhatWasWrittenSinceTheFreeze() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.transact(new ClearBitmap(B0));
    rig.touch("vda", 3);
    assertEquals(List.of(2, 3), rig.dirty("vda", "b0"));
    assertEquals(List.of(1), exported("s"));
    var _ = rig.transact(new ClearBitmap(B0));
    assertEquals(List.of(2, 3), rig.dirty("vda", "b0"));
  }

  @Test
  void aBitmapThatIsEnabledKeepsWhatWasWrittenSinceTheFreeze() throws IOException {
    var _ = rig.transact(new DisableBitmap(B0));
    var _ = rig.transact(take("s", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.transact(new EnableBitmap(B0));
    rig.touch("vda", 3);
    assertEquals(List.of(1, 2, 3), rig.dirty("vda", "b0"));
  }

  @Test
  void disablingClearingAndEnablingIsLikeClearing() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.transact(new DisableBitmap(B0), new ClearBitmap(B0), new EnableBitmap(B0));
    rig.touch("vda", 3);
    assertEquals(List.of(2, 3), rig.dirty("vda", "b0"));
  }

  @Test
  void onceTheSnapshotHasEndedClearingLeavesNothing() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.engine().release("s");
    var _ = rig.transact(new ClearBitmap(B0));
    assertEquals(List.of(), rig.dirty("vda", "b0"));
    rig.touch("vda", 4);
    assertEquals(List.of(4), rig.dirty("vda", "b0"));
  }

  @Test
  void aBitmapThatIsRemovedAndAddedKeepsWhatWasWrittenSinceTheFreeze() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.transact(new RemoveBitmap(B0));
    rig.touch("vda", 3);
    var _ = rig.transact(EngineRig.add("vda", "b0"));
    assertEquals(List.of(2, 3), rig.dirty("vda", "b0"));
    assertEquals(List.of(1), exported("s"));
  }

  @Test
  void ofSeveralFreezesTheOldestCounts() throws IOException {
    var _ = rig.transact(take("old", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.transact(take("new", Bitmaps.FREE));
    rig.touch("vda", 3);
    var _ = rig.transact(new ClearBitmap(B0));
    assertEquals(List.of(2, 3), rig.dirty("vda", "b0"));
    var _ = rig.engine().release("old");
    var _ = rig.transact(new ClearBitmap(B0));
    assertEquals(List.of(3), rig.dirty("vda", "b0"));
  }

  @Test
  void othersMayBeMergedIntoTheBitmap() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE));
    var _ = rig.transact(EngineRig.add("vda", "b1"));
    rig.touch("vda", 5);
    var _ =
        rig.transact(
            new ClearBitmap(B0), new MergeBitmaps(B0, List.of(new BitmapRef("vda", "b1"))));
    assertEquals(List.of(5), rig.dirty("vda", "b0"));
  }

  @Test
  void whatIsKeptOutlivesAKill() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE));
    rig.touch("vda", 2);
    var _ = rig.transact(new ClearBitmap(B0));
    rig.touch("vda", 3);
    rig.killAndRestart();
    assertEquals(List.of(2, 3), rig.dirty("vda", "b0"));
  }

  @Test
  void aSnapshotAtTheInstantOfTheClearHasAllThatWasCleared() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.FREE), new ClearBitmap(B0));
    assertEquals(List.of(1), exported("s"));
    assertEquals(List.of(), rig.dirty("vda", "b0"));
  }

  /// What tools do that clear the bitmap some time after the freeze, with a guest that writes.
  @Test
  void noWriteIsLostByAChainOfBackups() throws IOException {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("noWriteIsLostByAChainOfBackups: -Dtest.seed=" + seed);
    Random random = new Random(seed);
    byte[] backup = new byte[EngineRig.SIZE];
    for (int i = 0; i < 50; i++) {
      long guestSeed = random.nextLong();
      CompletableFuture<Void> guest = CompletableFuture.runAsync(() -> write(guestSeed));
      var _ = rig.transact(take("s", Bitmaps.FREE, Outside.DATA));
      byte[] frozen = EngineRig.read(rig.view("s", "vda"), 0, EngineRig.SIZE);
      for (int granule : exported("s")) {
        int start = granule * EngineRig.GRANULE;
        System.arraycopy(frozen, start, backup, start, EngineRig.GRANULE);
      }
      assertArrayEquals(frozen, backup, "backup " + i + ", seed " + seed);
      if (random.nextInt(3) == 0) {
        var _ = rig.transact(new RemoveBitmap(B0), EngineRig.add("vda", "b0"));
      } else {
        var _ = rig.transact(new ClearBitmap(B0));
      }
      var _ = EngineRig.get(guest);
      var _ = rig.engine().release("s");
    }
  }

  private void write(long seed) {
    Random choice = new Random(seed);
    for (int i = 0; i < 20; i++) {
      byte[] data = new byte[1 + choice.nextInt(5000)];
      choice.nextBytes(data);
      try {
        rig.write("vda", choice.nextInt(EngineRig.SIZE - data.length), data);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  @Test
  void aSnapshotThatFailsKeepsNothing() throws IOException {
    assertThrows(
        IOException.class,
        () -> rig.transact(take("s", Bitmaps.FREE), new TransactionAction.Abort()));
    rig.touch("vda", 2);
    var _ = rig.transact(new ClearBitmap(B0));
    assertEquals(List.of(), rig.dirty("vda", "b0"));
  }

  @Test
  void aSnapshotThatHoldsItsBitmapRefusesAllThat() throws IOException {
    var _ = rig.transact(take("s", Bitmaps.HELD));
    assertTrue(rig.info("vda", "b0").busy());
    assertThrows(IOException.class, () -> rig.transact(new ClearBitmap(B0)));
    assertThrows(IOException.class, () -> rig.transact(new RemoveBitmap(B0)));
  }
}
