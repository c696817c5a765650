// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static io.nbdfleece.fleecing.state.StateFixture.REGION_BYTES;
import static io.nbdfleece.fleecing.state.StateFixture.SIZE_BYTES;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.DurableMarks;
import java.io.IOException;
import java.util.BitSet;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ActivityLogTest {
  private final StateFixture fixture = new StateFixture();

  private static void record(StateFixture fixture, DurableMarks marks, long offset) {
    marks.whenCovered(offset, 1, () -> {});
    fixture.runTasks();
  }

  @Test
  void regionsAreSmallButFew() {
    assertEquals(22, new LogLayout(1, 1).regionShift());
    assertEquals(22, new LogLayout(1, 256L << 30).regionShift());
    assertEquals(23, new LogLayout(1, (256L << 30) + 1).regionShift());
    assertEquals(65_536, new LogLayout(1, 16L << 40).regionCount());
    assertEquals(1, new LogLayout(1, 1).regionCount());
  }

  @Test
  void firstWriteIntoARegionWaitsForOneForceAndTheNextForNone() throws IOException {
    FileDiskState state = fixture.open();
    int[] went = {0};
    assertFalse(state.marks().covers(0, 512));
    state.marks().whenCovered(0, 512, () -> went[0]++);
    assertEquals(0, went[0]);
    fixture.runTasks();
    assertEquals(1, went[0]);
    assertTrue(state.marks().covers(REGION_BYTES - 1, 1));
    assertFalse(state.marks().covers(REGION_BYTES - 1, 2));
    state.marks().whenCovered(0, 512, () -> went[0]++);
    assertEquals(2, went[0]);
    assertEquals(1, state.marks().forces());
  }

  @Test
  void writesThatWaitAtTheSameTimeShareOneForce() throws IOException {
    FileDiskState state = fixture.open();
    int[] went = {0};
    for (int i = 0; i < 8; i++) {
      state.marks().whenCovered(2L * i * REGION_BYTES, 512, () -> went[0]++);
    }
    fixture.runTasks();
    assertEquals(8, went[0]);
    assertEquals(1, state.marks().forces());
  }

  @Test
  void aWriteThatThrowsKeepsNoOtherOneFromGoingOn() throws IOException {
    FileDiskState state = fixture.open();
    int[] went = {0};
    state
        .marks()
        .whenCovered(
            0,
            512,
            () -> {
              throw new AssertionError("thrown by the disk");
            });
    state.marks().whenCovered(0, 512, () -> went[0]++);
    fixture.runTasks();
    state.marks().whenCovered(8 * REGION_BYTES, 512, () -> went[0]++);
    fixture.runTasks();
    assertEquals(2, went[0]);
  }

  @Test
  void sequentialWriterWaitsOnlyAtItsBeginning() throws IOException {
    FileDiskState state = fixture.open();
    int waits = 0;
    for (long at = 0; at < SIZE_BYTES; at += 64 << 10) {
      if (!state.marks().covers(at, 64 << 10)) {
        waits++;
        state.marks().whenCovered(at, 64 << 10, () -> {});
      }
      fixture.runTasks();
    }
    assertEquals(2, waits);
  }

  @Test
  void idleRegionIsForgottenAndTheOneInUseIsNot() throws IOException {
    FileDiskState state = fixture.open();
    state.commit(List.of());
    record(fixture, state.marks(), 0);
    record(fixture, state.marks(), 8 * REGION_BYTES);
    fixture.pass(state, 50);
    assertTrue(state.marks().covers(0, 1));
    fixture.pass(state, 11);
    assertTrue(state.marks().covers(0, 1));
    assertFalse(state.marks().covers(8 * REGION_BYTES, 1));
    assertEquals(1, state.marks().activeCount());
  }

  @Test
  void regionWrittenWhileItIsBeingForgottenStays() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(StateFixture.GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("b", live)));
    record(fixture, state.marks(), 0);
    long forces = state.marks().forces();
    int[] went = {0};
    fixture.files.fault =
        operation -> {
          if (operation.equals("force " + live.content())) {
            assertFalse(state.marks().covers(0, 1));
            state.marks().whenCovered(0, 1, () -> went[0]++);
          }
        };
    fixture.pass(state, 61);
    assertEquals(1, went[0]);
    assertTrue(state.marks().covers(0, 1));
    assertEquals(forces, state.marks().forces());
  }

  @Test
  void tornSectorOfTheLogStandsForAllItsRegions() throws IOException {
    LogLayout layout = new LogLayout(7, 16L << 40);
    byte[] file = layout.empty(1);
    assertEquals(new BitSet(), layout.regions(file));
    file[(int) LogLayout.sectorOffset(16) + 100] ^= 1;
    BitSet expected = new BitSet();
    expected.set(16 * 3968, 65_536);
    assertEquals(expected, layout.regions(file));
  }

  @Test
  void regionsComeBackFromSectors() throws IOException {
    LogLayout layout = new LogLayout(7, 16L << 40);
    BitSet regions = new BitSet();
    regions.set(0);
    regions.set(3967, 3969);
    regions.set(65_535);
    byte[] file = layout.empty(1);
    for (int i = 0; i < layout.sectorCount(); i++) {
      System.arraycopy(layout.sector(i, regions), 0, file, (int) LogLayout.sectorOffset(i), 512);
    }
    assertEquals(regions, layout.regions(file));
    assertEquals(1, layout.heartbeatOf(file).getAsLong());
  }
}
