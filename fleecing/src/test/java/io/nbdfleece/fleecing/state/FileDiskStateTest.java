// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static io.nbdfleece.fleecing.state.StateFixture.GRANULE_BYTES;
import static io.nbdfleece.fleecing.state.StateFixture.SIZE_BYTES;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.roaringbitmap.RoaringBitmap;

final class FileDiskStateTest {
  private final StateFixture fixture = new StateFixture();

  private BitmapRecord add(FileDiskState state, String name) throws IOException {
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    live.bits().mark(5L * GRANULE_BYTES, 1);
    BitmapRecord record = StateFixture.live(name, live);
    state.commit(List.of(record));
    return record;
  }

  private static RoaringBitmap bits(FileDiskState state) throws IOException {
    return state.open(state.found().getFirst()).bits().toSet().granules();
  }

  private void assertInconsistent(FileDiskState state, String why) {
    assertTrue(state.found().getFirst().inconsistent());
    assertTrue(state.finding().contains(why), state.finding());
    assertThrows(IOException.class, () -> state.open(state.found().getFirst()));
  }

  @Test
  void cleanStopKeepsEveryRecordAndBit() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord live = add(state, "b");
    GranuleSet set = GranuleSet.of(SIZE_BYTES, 4096, RoaringBitmap.bitmapOf(1, 7, 16383));
    BitmapRecord sealed = StateFixture.record("s", state.seal(set), Form.SEALED);
    BitmapRecord fine =
        new BitmapRecord(
            "s",
            4096,
            sealed.content(),
            Form.SEALED,
            false,
            false,
            true,
            Optional.of("snapshot"),
            Instant.ofEpochSecond(12, 34));
    state.closeClean(List.of(live, fine));
    fixture.host.reboot();
    FileDiskState again = fixture.open();
    assertEquals(List.of(live, fine), again.found());
    assertEquals("", again.finding());
    assertEquals(RoaringBitmap.bitmapOf(5), bits(again));
    assertEquals(set.granules(), again.load(fine).granules());
  }

  @Test
  void diskChangedWhileNotServedMakesBitmapsInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    state.closeClean(List.of(add(state, "b")));
    fixture.disk.write(0, 1);
    assertInconsistent(fixture.open(), "changed while it was not served");
  }

  @Test
  void diskThatAnEarlierVersionToldOtherwiseKeepsItsBitmaps() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord live = add(state, "b");
    GranuleSet set = GranuleSet.of(SIZE_BYTES, 4096, RoaringBitmap.bitmapOf(1, 7));
    BitmapRecord sealed =
        new BitmapRecord(
            "s",
            4096,
            state.seal(set),
            Form.SEALED,
            false,
            false,
            false,
            Optional.empty(),
            Instant.EPOCH);
    state.closeClean(List.of(live, sealed));
    fixture.disk.former = fixture.disk.identity;
    fixture.disk.identity = "disk 1 in other words";
    for (int i = 0; i < 2; i++) {
      FileDiskState again = fixture.open();
      assertEquals("", again.finding());
      assertEquals(RoaringBitmap.bitmapOf(5), bits(again));
      assertEquals(set.granules(), again.load(sealed).granules());
      DiskState.LiveContent next = again.create(GRANULE_BYTES);
      again.closeClean(List.of(live, sealed, StateFixture.live("next" + i, next)));
    }
    FileDiskState none = fixture.open();
    none.closeClean(List.of());
    none = fixture.open(); // from here on in the new words
    none.closeClean(List.of(add(none, "b")));
    fixture.disk.former = "";
    assertEquals("", fixture.open().finding());
  }

  @Test
  void inconsistentStaysInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    state.closeClean(List.of(add(state, "b")));
    fixture.disk.write(0, 1);
    FileDiskState second = fixture.open();
    second.closeClean(second.found());
    assertTrue(fixture.open().found().getFirst().inconsistent());
  }

  @Test
  void diskChangedAfterAKillMakesBitmapsInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    state.close();
    fixture.host.pass(5.1);
    fixture.disk.write(0, 1);
    assertInconsistent(fixture.open(), "changed after the server that tracked it was killed");
  }

  /// Nobody tracks what others do to it.
  @Test
  void changeByOthersOfADiskThatWasServedReadOnlyIsFoundAfterAKill() throws IOException {
    FileDiskState state = fixture.open();
    state.closeClean(List.of(add(state, "b")));
    fixture.host.pass(3600);
    FileDiskState readOnly = fixture.open(new IdentityAtOpening(fixture.disk));
    fixture.pass(readOnly, 10);
    assertEquals("", readOnly.finding());
    readOnly.close();
    FileDiskState again = fixture.open(new IdentityAtOpening(fixture.disk));
    assertEquals("", again.finding(), "nobody has changed it");
    fixture.pass(again, 10);
    fixture.disk.write(0, 1);
    again.close();
    assertInconsistent(fixture.open(), "changed after the server that tracked it was killed");
  }

  @Test
  void ownLastWritesBeforeAKillAreNoChangeByOthers() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    fixture.host.pass(4.9);
    fixture.disk.write(0, 1);
    state.close();
    FileDiskState again = fixture.open();
    assertEquals("", again.finding());
    assertEquals(RoaringBitmap.bitmapOf(5), bits(again));
  }

  @Test
  void diskChangedAfterTheMachinesStartMakesBitmapsInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    fixture.host.reboot();
    fixture.disk.write(0, 1);
    assertInconsistent(fixture.open(), "changed after the machine's start");
  }

  @Test
  void diskChangedBetweenAKillAndTheMachinesRestartMakesBitmapsInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    state.close();
    fixture.host.pass(3600);
    fixture.disk.write(0, 1);
    fixture.host.reboot();
    assertInconsistent(fixture.open(), "changed after the server that tracked it was killed");
  }

  @Test
  void ownWritesBeforeAPowerFailureAreNoChangeByOthers() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    for (int second = 0; second < 500; second++) {
      fixture.pass(state, 1);
    }
    fixture.host.pass(0.5);
    fixture.disk.write(0, 1);
    fixture.files.reboot();
    fixture.host.reboot();
    FileDiskState again = fixture.open();
    assertFalse(again.found().getFirst().inconsistent(), again.finding());
  }

  @Test
  void anotherDiskMakesBitmapsInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    state.closeClean(List.of(add(state, "b")));
    fixture.disk.identity = "disk 2";
    assertInconsistent(fixture.open(), "is another one: disk 1, now disk 2");
  }

  @Test
  void anotherSizeMakesBitmapsInconsistent() throws IOException {
    FileDiskState state = fixture.open();
    state.closeClean(List.of(add(state, "b")));
    GuestDisk longer = new GuestDisk(fixture.files, fixture.host, SIZE_BYTES * 2);
    FileDiskState again =
        FileDiskState.open(
            "vda",
            fixture.files,
            longer,
            Runnable::run,
            fixture.host,
            fixture.lost::add,
            OptionalLong.empty());
    assertInconsistent(again, "another size: 67108864 bytes (now: 134217728)");
  }

  @Test
  void stateOfAnotherDisksNameIsNotBelieved() throws IOException {
    FileDiskState state = fixture.open();
    state.closeClean(List.of(add(state, "b")));
    FileDiskState again =
        FileDiskState.open(
            "vdb",
            fixture.files,
            fixture.disk,
            Runnable::run,
            fixture.host,
            fixture.lost::add,
            OptionalLong.empty());
    assertInconsistent(again, "the state is that of disk vda");
  }

  @Test
  void commitNamesOnlyWhatIsThere() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord record = StateFixture.record("b", "no-such.live", Form.LIVE);
    assertThrows(IOException.class, () -> state.commit(List.of(record)));
  }

  @Test
  void commitDeletesWhatIsNotNamedAnyMore() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord record = add(state, "b");
    state.commit(List.of());
    assertFalse(fixture.files.names().contains(record.content()));
  }

  @Test
  void writeThatBeganBeforeItsArrayWasReplacedMayStillMarkIt() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("b", live)));
    state.commit(List.of());
    live.bits().mark(0, SIZE_BYTES);
    fixture.pass(state, 61);
    live.bits().mark(0, SIZE_BYTES);
  }

  @Test
  void failedCommitLeavesTheOldList() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord record = add(state, "b");
    fixture.files.fault =
        operation -> {
          if (operation.equals("force bitmaps.new")) {
            throw new IllegalStateException("no space");
          }
        };
    assertThrows(IOException.class, () -> state.commit(List.of()));
    fixture.files.fault = _ -> {};
    state.close();
    assertEquals(List.of(record), fixture.open().found());
    assertEquals(List.of(), fixture.lost);
  }

  @Test
  void commitOfUnknownOutcomeLeavesNoList() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    int[] forced = {0};
    fixture.files.fault =
        operation -> {
          if (operation.equals("force names") && forced[0]++ == 1) {
            throw new IllegalStateException("Input/output error");
          }
        };
    assertThrows(IOException.class, () -> state.commit(List.of()));
    fixture.runTasks();
    assertEquals(1, fixture.lost.size());
    assertEquals(List.of(), fixture.open().found());
  }

  @Test
  void logThatCannotBeWrittenLetsWritesGoOnAndLeavesNoList() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord record = add(state, "b");
    fixture.files.fault =
        operation -> {
          if (operation.startsWith("force activity")) {
            throw new IllegalStateException("Input/output error");
          }
        };
    int[] went = {0};
    state.marks().whenCovered(0, 1, () -> went[0]++);
    state.marks().whenCovered(SIZE_BYTES - 1, 1, () -> went[0]++);
    assertEquals(0, went[0]);
    fixture.runTasks();
    assertEquals(2, went[0]);
    assertTrue(state.marks().covers(0, SIZE_BYTES));
    assertEquals(1, fixture.lost.size());
    assertTrue(fixture.lost.getFirst().contains("will not outlive this process"));
    assertFalse(fixture.files.names().contains(BitmapList.NAME));
    assertThrows(IOException.class, () -> state.commit(List.of(record)));
    state.closeClean(List.of(record));
    fixture.files.fault = _ -> {};
    assertEquals(List.of(), fixture.open().found());
  }

  @Test
  void marksThatCannotBeForcedCountAsAFailedLog() throws IOException {
    FileDiskState state = fixture.open();
    add(state, "b");
    state.marks().whenCovered(0, 1, () -> {});
    fixture.runTasks();
    fixture.files.fault =
        operation -> {
          if (operation.endsWith(".live")) {
            throw new IllegalStateException("Input/output error");
          }
        };
    fixture.pass(state, 100);
    assertEquals(1, fixture.lost.size());
  }

  @Test
  void marksThatACommitCannotForceCountAsAFailedLog() throws IOException {
    FileDiskState state = fixture.open();
    BitmapRecord record = add(state, "b");
    fixture.files.fault =
        operation -> {
          if (operation.endsWith(".live")) {
            throw new IllegalStateException("Input/output error");
          }
        };
    assertThrows(IOException.class, () -> state.commit(List.of(record)));
    fixture.runTasks();
    assertEquals(1, fixture.lost.size());
    // Forcing it once more would succeed, and be believed.
    fixture.files.fault = _ -> {};
    assertThrows(IOException.class, () -> state.commit(List.of(record)));
    assertEquals(List.of(), fixture.open().found());
  }
}
