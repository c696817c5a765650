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
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.roaringbitmap.RoaringBitmap;

/// A state that cannot be written, in a directory from which nothing can be removed either: what
/// the next server finds there must not be believed.
final class GivenUpStateTest {
  private final StateFixture fixture = new StateFixture();

  private void fail(Predicate<String> operations) {
    fixture.files.fault =
        operation -> {
          if (operations.test(operation)) {
            throw new IllegalStateException("Read-only file system");
          }
        };
  }

  private static boolean isRemoval(String operation) {
    return operation.startsWith("delete ");
  }

  /// One that records and one that does not; then the log cannot be written, and `alsoFails`.
  private FileDiskState lose(Predicate<String> alsoFails) throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    GranuleSet set = GranuleSet.of(SIZE_BYTES, GRANULE_BYTES, RoaringBitmap.bitmapOf(3));
    state.commit(
        List.of(
            StateFixture.live("records", live),
            StateFixture.record("stands", state.seal(set), Form.SEALED)));
    fail(operation -> operation.startsWith("write activity") || alsoFails.test(operation));
    boolean[] went = {false};
    state.marks().whenCovered(0, 1, () -> went[0] = true);
    fixture.runTasks();
    assertTrue(went[0]);
    assertEquals(1, fixture.lost.size());
    return state;
  }

  private void assertNotBelieved() throws IOException {
    FileDiskState next = fixture.open();
    assertEquals(2, next.found().size());
    assertTrue(next.found().stream().allMatch(BitmapRecord::inconsistent));
    assertTrue(next.finding().contains("could not keep what it tracked"), next.finding());
    next.close();
    // And they stay so, whatever the next one can write.
    assertTrue(fixture.open().found().stream().allMatch(BitmapRecord::inconsistent));
  }

  @Test
  void killedServersListThatCannotBeRemovedIsNotBelieved() throws IOException {
    lose(_ -> true);
    fail(_ -> false);
    assertNotBelieved();
  }

  @Test
  void listThatCannotBeRemovedIsNotBelievedAfterAPowerFailure() throws IOException {
    lose(GivenUpStateTest::isRemoval);
    fail(_ -> false);
    fixture.files.reboot();
    fixture.host.reboot();
    assertNotBelieved();
  }

  @Test
  void diskThatTellsNoTimeIsNotBelievedEither() throws IOException {
    fixture.disk.tellsTime = false;
    lose(_ -> true);
    fail(_ -> false);
    assertNotBelieved();
  }

  /// After a sync that failed the system takes the pages for clean: the next one succeeds.
  @Test
  void marksThatCouldNotBeForcedAtAStartAreNotBelievedAtTheNextOne() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("records", live)));
    live.bits().mark(0, 1);
    state.close();
    fail(
        operation ->
            (operation.startsWith("forc") && operation.endsWith(".live"))
                || operation.startsWith("rename "));
    assertThrows(IOException.class, fixture::open);
    fail(_ -> false);
    FileDiskState next = fixture.open();
    assertTrue(next.found().getFirst().inconsistent());
    assertTrue(next.finding().contains("could not keep what it tracked"), next.finding());
  }

  @Test
  void eachFileIsRemovedWhateverBecomesOfTheOthers() throws IOException {
    lose(operation -> operation.equals("delete " + BitmapList.NAME));
    fail(_ -> false);
    assertTrue(fixture.files.names().contains(BitmapList.NAME));
    assertFalse(fixture.files.names().stream().anyMatch(name -> name.startsWith("activity-")));
    assertTrue(fixture.open().found().stream().allMatch(BitmapRecord::inconsistent));
  }

  @Test
  void removalIsTriedAgainWhileTheServerRuns() throws IOException {
    FileDiskState state = lose(GivenUpStateTest::isRemoval);
    fixture.pass(state, 1);
    assertTrue(fixture.files.names().contains(BitmapList.NAME));
    fail(_ -> false);
    fixture.pass(state, 1);
    assertFalse(fixture.files.names().contains(BitmapList.NAME));
    assertEquals(List.of(), fixture.open().found());
    assertEquals(1, fixture.lost.size());
  }

  @Test
  void removalIsTriedAgainWhenTheServerEnds() throws IOException {
    FileDiskState state = lose(GivenUpStateTest::isRemoval);
    fail(_ -> false);
    state.close();
    assertEquals(List.of(), fixture.open().found());
  }
}
