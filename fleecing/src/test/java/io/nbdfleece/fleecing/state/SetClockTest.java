// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static io.nbdfleece.fleecing.state.StateFixture.GRANULE_BYTES;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Somebody sets the clock on the wall while a disk is served: nothing that has to last for a time
/// lasts shorter or longer for that.
@Timeout(60)
final class SetClockTest {
  private final StateFixture fixture = new StateFixture();
  private final List<String> steps = new ArrayList<>();

  private FileDiskState openWithOneBitmap() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("b", live)));
    return state;
  }

  private int forcedHeartbeats() {
    return steps.size();
  }

  /// Counts from now on.
  private void watchTheLog() {
    fixture.files.fault =
        step -> {
          if (step.startsWith("force activity-")) {
            steps.add(step);
          }
        };
  }

  @ParameterizedTest
  @ValueSource(ints = {3600, 0, -3600})
  void memoryThatAWriteMayStillMarkStaysForAMinute(int secondsForward) throws IOException {
    FileDiskState state = openWithOneBitmap();
    state.commit(List.of());
    fixture.host.setClock(secondsForward);
    fixture.pass(state, 59);
    assertEquals(List.of(), fixture.files.unmapped);
    fixture.pass(state, 1);
    assertEquals(1, fixture.files.unmapped.size());
    state.close();
  }

  @ParameterizedTest
  @ValueSource(ints = {3600, -3600})
  void heartbeatByTheNewTimeIsOnStableStorageAtOnce(int secondsForward) throws IOException {
    FileDiskState state = openWithOneBitmap();
    fixture.pass(state, 1);
    watchTheLog();
    fixture.pass(state, 1);
    assertEquals(0, forcedHeartbeats());
    fixture.host.setClock(secondsForward);
    fixture.pass(state, 1);
    assertEquals(1, forcedHeartbeats());
    state.close();
  }

  @Test
  void heartbeatIsForcedEveryMinuteThoughTheClockIsSetBackAllTheTime() throws IOException {
    FileDiskState state = openWithOneBitmap();
    fixture.pass(state, 1);
    watchTheLog();
    for (int i = 0; i < 120; i++) {
      fixture.host.setClock(-1);
      fixture.pass(state, 1);
    }
    assertEquals(2, forcedHeartbeats());
    state.close();
  }

  @ParameterizedTest
  @ValueSource(ints = {3600, 0, -3600})
  void regionIsForgottenWhenItHasNotBeenWrittenForLongEnough(int secondsForward)
      throws IOException {
    FileDiskState state = openWithOneBitmap();
    fixture.pass(state, 1);
    state.marks().whenCovered(0, 1, () -> {});
    fixture.runTasks();
    fixture.host.setClock(secondsForward);
    fixture.pass(state, 1);
    assertEquals(1, state.marks().activeCount());
    fixture.pass(state, 60);
    fixture.pass(state, 60);
    assertEquals(0, state.marks().activeCount());
    state.close();
  }
}
