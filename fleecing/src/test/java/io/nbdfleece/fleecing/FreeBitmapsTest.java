// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

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
import io.nbdfleece.fleecing.TransactionAction.MergeBitmaps;
import io.nbdfleece.fleecing.TransactionAction.RemoveBitmap;
import io.nbdfleece.fleecing.TransactionAction.TakeSnapshot;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
    return new TakeSnapshot(
        new SnapshotRequest(
            List.of("vda"),
            Optional.of(name),
            Access.DISCARD,
            OnCbwError.BREAK_SNAPSHOT,
            Duration.ofSeconds(30),
            new Increment(
                Optional.empty(),
                Optional.of("b0"),
                Map.of(),
                Optional.empty(),
                Outside.ERROR,
                bitmaps),
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
