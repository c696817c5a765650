// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.nbdfleece.fleecing.TransactionAction.Abort;
import io.nbdfleece.fleecing.TransactionAction.ClearBitmap;
import io.nbdfleece.fleecing.TransactionAction.DisableBitmap;
import io.nbdfleece.fleecing.TransactionAction.EnableBitmap;
import io.nbdfleece.fleecing.TransactionAction.MarkDirty;
import io.nbdfleece.fleecing.TransactionAction.MergeBitmaps;
import io.nbdfleece.fleecing.TransactionAction.Range;
import io.nbdfleece.fleecing.TransactionAction.RemoveBitmap;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Bitmaps of a view: beside those of its disk, and never marked by a write.
@Timeout(60)
final class ViewBitmapsTest {
  private static final BitmapRef OWN = new BitmapRef("snap", "b0");
  private static final BitmapRef DISKS = new BitmapRef("vda", "b0");

  @TempDir private Path directory;
  private EngineRig rig;

  @BeforeEach
  void open() throws IOException {
    rig = new EngineRig(directory, true, "vda");
    rig.engine().views().add("snap", EngineRig.SIZE);
    var _ = rig.transact(EngineRig.add("vda", "b0", true), EngineRig.add("snap", "b0"));
  }

  @AfterEach
  void close() throws IOException {
    rig.close();
  }

  private static MergeBitmaps merge(BitmapRef target, BitmapRef... sources) {
    return new MergeBitmaps(target, List.of(sources));
  }

  private static MarkDirty mark(BitmapRef bitmap, int granule) {
    return new MarkDirty(
        bitmap, List.of(new Range((long) granule * EngineRig.GRANULE, EngineRig.GRANULE)));
  }

  @Test
  void aWriteToTheDiskMarksNoBitmapOfTheView() throws IOException {
    rig.touch("vda", 3);
    assertEquals(List.of(3), rig.dirty("vda", "b0"));
    assertEquals(List.of(), rig.dirty("snap", "b0"));
    assertTrue(rig.info("snap", "b0").recording());
    assertFalse(rig.info("snap", "b0").persistent());
  }

  @Test
  void mergingFromTheDisksRecordingBitmapTakesWhatItHoldsNow() throws IOException {
    rig.touch("vda", 3);
    var _ = rig.transact(merge(OWN, DISKS));
    rig.touch("vda", 4);
    assertEquals(List.of(3), rig.dirty("snap", "b0"));
    var _ = rig.transact(merge(OWN, DISKS));
    assertEquals(List.of(3, 4), rig.dirty("snap", "b0"));
  }

  @Test
  void mergingToTheDiskGoesOnRecordingThere() throws IOException {
    var _ = rig.transact(mark(OWN, 7), merge(DISKS, OWN));
    rig.touch("vda", 2);
    assertEquals(List.of(2, 7), rig.dirty("vda", "b0"));
    rig.restart();
    assertEquals(List.of(2, 7), rig.dirty("vda", "b0"));
  }

  @Test
  void granularitiesMayDiffer() throws IOException {
    var _ =
        rig.transact(
            new TransactionAction.AddBitmap(
                new BitmapRef("snap", "fine"), OptionalInt.of(4096), false, true));
    rig.touch("vda", 1);
    var _ = rig.transact(merge(new BitmapRef("snap", "fine"), DISKS));
    assertEquals(EngineRig.GRANULE, rig.info("snap", "fine").dirtyBytes());
    assertFalse(rig.info("snap", "fine").recording());
  }

  @Test
  void stoppingAndBeginningToRecordKeepsWhatItHolds() throws IOException {
    var _ = rig.transact(mark(OWN, 5));
    var _ = rig.transact(new DisableBitmap(OWN));
    assertFalse(rig.info("snap", "b0").recording());
    var _ = rig.transact(new EnableBitmap(OWN));
    assertTrue(rig.info("snap", "b0").recording());
    assertEquals(List.of(5), rig.dirty("snap", "b0"));
    var _ = rig.transact(new ClearBitmap(OWN));
    assertEquals(List.of(), rig.dirty("snap", "b0"));
    var _ = rig.transact(new RemoveBitmap(OWN));
    assertEquals(List.of(), rig.engine().bitmaps("snap"));
  }

  @Test
  void aTransactionOnViewAndDiskHappensAsAWholeOrNotAtAll() throws IOException {
    rig.touch("vda", 3);
    TransactionAction[] wanted = {
      new RemoveBitmap(OWN), EngineRig.add("snap", "b0"), merge(OWN, DISKS), new ClearBitmap(DISKS)
    };
    List<Object> before = rig.everything();
    for (int i = 0; i <= wanted.length; i++) {
      List<TransactionAction> aborted = new ArrayList<>(List.of(wanted));
      aborted.add(i, new Abort());
      assertThrows(
          IOException.class, () -> rig.transact(aborted.toArray(TransactionAction[]::new)));
      assertEquals(before, rig.everything());
      assertEquals(List.of(), rig.dirty("snap", "b0"));
    }
    var _ = rig.transact(wanted);
    assertEquals(List.of(3), rig.dirty("snap", "b0"));
    assertEquals(List.of(), rig.dirty("vda", "b0"));
  }

  @Test
  void whoeverUsesABitmapOfAViewKeepsItFromChanging() throws IOException {
    assertFalse(rig.engine().views().isInUse("snap"));
    try (BitmapUse use = rig.engine().useBitmap(OWN)) {
      assertTrue(rig.engine().views().isInUse("snap"));
      assertTrue(rig.info("snap", "b0").busy());
      IOException busy = assertThrows(IOException.class, () -> rig.transact(new ClearBitmap(OWN)));
      assertEquals(
          "Bitmap 'b0' is currently in use by another operation and cannot be used",
          busy.getMessage());
      assertEquals(EngineRig.SIZE, use.current().nextDirty(0, EngineRig.SIZE));
    }
    var _ = rig.transact(new ClearBitmap(OWN));
  }

  @Test
  void bitmapsGoWithTheirView() throws IOException {
    rig.engine().views().remove("snap");
    assertThrows(NoSuchDiskException.class, () -> rig.engine().bitmaps("snap"));
    assertThrows(NoSuchDiskException.class, () -> rig.transact(new ClearBitmap(OWN)));
    rig.engine().views().add("snap", EngineRig.SIZE);
    IOException gone = assertThrows(IOException.class, () -> rig.transact(new ClearBitmap(OWN)));
    assertEquals("Dirty bitmap 'b0' not found", gone.getMessage());
  }

  @TestFactory
  List<DynamicTest> whatCannotBeDoneIsRefusedInQemusWordsAndChangesNothing() throws IOException {
    rig.engine().views().add("small", 65_536);
    var _ = rig.transact(EngineRig.add("small", "t"));
    Map<String, TransactionAction> refused = new LinkedHashMap<>();
    refused.put("Bitmap already exists: b0", EngineRig.add("snap", "b0"));
    refused.put("Bitmap name cannot be empty", EngineRig.add("snap", ""));
    refused.put(
        "Can't store persistent bitmaps to snap: Operation not supported",
        EngineRig.add("snap", "p", true));
    refused.put(
        "Granularity must be power of 2 and at least 512",
        new TransactionAction.AddBitmap(
            new BitmapRef("snap", "g"), OptionalInt.of(100), false, false));
    refused.put("Dirty bitmap 'b1' not found", new ClearBitmap(new BitmapRef("snap", "b1")));
    refused.put("Dirty bitmap 'b2' not found", new RemoveBitmap(new BitmapRef("snap", "b2")));
    refused.put("Dirty bitmap 'b3' not found", new EnableBitmap(new BitmapRef("snap", "b3")));
    refused.put("Dirty bitmap 'b4' not found", new DisableBitmap(new BitmapRef("snap", "b4")));
    refused.put("Dirty bitmap 'b5' not found", merge(OWN, new BitmapRef("snap", "b5")));
    refused.put("Dirty bitmap 'b6' not found", merge(new BitmapRef("snap", "b6"), OWN));
    refused.put(
        "Bitmaps are of different sizes (destination size is 1048576, source size is 65536) and"
            + " can't be merged",
        merge(OWN, new BitmapRef("small", "t")));
    refused.put(
        "Bitmaps are of different sizes (destination size is 65536, source size is 1048576) and"
            + " can't be merged",
        merge(new BitmapRef("small", "t"), DISKS));
    return refused.entrySet().stream()
        .map(
            each ->
                dynamicTest(
                    each.getKey(),
                    () -> {
                      List<Object> before = rig.everything();
                      IOException error =
                          assertThrows(IOException.class, () -> rig.transact(each.getValue()));
                      assertEquals(each.getKey(), error.getMessage());
                      assertEquals(before, rig.everything());
                    }))
        .toList();
  }
}
