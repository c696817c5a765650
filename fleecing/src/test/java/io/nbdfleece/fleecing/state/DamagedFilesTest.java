// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static io.nbdfleece.fleecing.state.StateFixture.GRANULE_BYTES;
import static io.nbdfleece.fleecing.state.StateFixture.SIZE_BYTES;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.roaringbitmap.RoaringBitmap;

/// Each flipped bit and each torn length of each file is found out.
final class DamagedFilesTest {
  private final StateFixture fixture = new StateFixture();
  private String live = "";
  private String sealed = "";

  @BeforeEach
  void makeFiles() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent content = state.create(GRANULE_BYTES);
    content.bits().mark(5L * GRANULE_BYTES, 1);
    live = content.content();
    sealed =
        state.seal(
            GranuleSet.of(SIZE_BYTES, GRANULE_BYTES, RoaringBitmap.bitmapOf(1, 2, 3, 900, 1023)));
    state.closeClean(
        List.of(StateFixture.live("b", content), StateFixture.record("s", sealed, Form.SEALED)));
  }

  private int lengthOf(String name) throws IOException {
    return fixture.files.read(name, Long.MAX_VALUE).length;
  }

  @Test
  void eachFlippedBitOfTheListIsFoundOut() throws IOException {
    for (int bit = 0; bit < 8 * lengthOf(BitmapList.NAME); bit++) {
      SimulatedFiles files = fixture.files.copy();
      files.damage(BitmapList.NAME, bit);
      FileDiskState state = fixture.open(files);
      assertEquals(List.of(), state.found(), "bit " + bit);
      assertTrue(state.finding().contains("take a full backup"), "bit " + bit);
      state.close();
    }
  }

  @Test
  void eachTornLengthOfTheListIsFoundOut() throws IOException {
    for (int length = 0; length < lengthOf(BitmapList.NAME); length++) {
      SimulatedFiles files = fixture.files.copy();
      files.cut(BitmapList.NAME, length);
      FileDiskState state = fixture.open(files);
      assertEquals(List.of(), state.found(), "length " + length);
      assertFalse(state.finding().isEmpty());
      state.close();
    }
  }

  @Test
  void eachFlippedBitOfASealedSetIsFoundOut() throws IOException {
    for (int bit = 0; bit < 8 * lengthOf(sealed); bit++) {
      SimulatedFiles files = fixture.files.copy();
      files.damage(sealed, bit);
      assertOnlyInconsistent(fixture.open(files), 1, "bit " + bit);
    }
  }

  @Test
  void eachTornLengthOfASealedSetIsFoundOut() throws IOException {
    for (int length = 0; length < lengthOf(sealed); length++) {
      SimulatedFiles files = fixture.files.copy();
      files.cut(sealed, length);
      assertOnlyInconsistent(fixture.open(files), 1, "length " + length);
    }
  }

  @Test
  void eachDamagedByteOfALiveFilesHeaderSummaryAndUsedPagesIsFoundOut() throws IOException {
    int length = lengthOf(live);
    for (int at = 0; at < length; at++) {
      if (at < ContentHeader.BYTES || at >= MappedBits.PAGE_BYTES) { // between them is nothing
        SimulatedFiles files = fixture.files.copy();
        files.damage(live, at * 8L + at % 7);
        assertOnlyInconsistent(fixture.open(files), 0, "byte " + at);
      }
    }
  }

  @Test
  void marksBehindTheEndOfTheDiskAreFoundOutAfterAKillToo() throws IOException {
    fixture.open().close();
    long granules = SIZE_BYTES / GRANULE_BYTES;
    for (long granule = granules; granule < MappedBits.PAGE_BYTES * 8L; granule += 61) {
      SimulatedFiles files = fixture.files.copy();
      files.damage(live, MappedBits.PAGE_BYTES * 2 * 8L + granule);
      FileDiskState state = fixture.open(files);
      assertTrue(state.finding().contains("behind the end of the disk"), state.finding());
      assertOnlyInconsistent(state, 0, "granule " + granule);
    }
  }

  @Test
  void missingAndShortLiveFilesAreFoundOut() throws IOException {
    SimulatedFiles files = fixture.files.copy();
    files.delete(live);
    assertOnlyInconsistent(fixture.open(files), 0, "missing");
    SimulatedFiles shorter = fixture.files.copy();
    shorter.cut(live, 4096);
    assertOnlyInconsistent(fixture.open(shorter), 0, "short");
  }

  @Test
  void fileOfAnotherBitmapIsFoundOut() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent other = state.create(GRANULE_BYTES);
    state.closeClean(
        List.of(
            StateFixture.record("b", live, Form.LIVE),
            StateFixture.record("s", sealed, Form.SEALED),
            StateFixture.live("other", other)));
    fixture.files.rename(other.content(), live);
    FileDiskState again = fixture.open();
    assertTrue(again.found().getFirst().inconsistent());
    assertTrue(again.finding().contains("belongs to another bitmap"), again.finding());
  }

  private static void assertOnlyInconsistent(FileDiskState state, int index, String what) {
    assertTrue(state.found().get(index).inconsistent(), what);
    assertFalse(state.found().get(1 - index).inconsistent(), what);
    assertFalse(state.finding().isEmpty(), what);
    state.close();
  }
}
