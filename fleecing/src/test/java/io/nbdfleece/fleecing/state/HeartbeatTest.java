// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static io.nbdfleece.fleecing.state.StateFixture.GRANULE_BYTES;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/// A server that was killed while storage was slow is not taken for one that was killed long ago.
@Timeout(60)
final class HeartbeatTest {
  private final StateFixture fixture = new StateFixture();
  private final List<String> findings = new ArrayList<>();
  private boolean within;

  private DiskState.LiveContent marked(FileDiskState state) throws IOException {
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    live.bits().mark(0, 1);
    return live;
  }

  /// At each step of a file operation from now on: 20 s pass, the heart beats on a thread of its
  /// own, the guest writes, and what a kill would leave is opened.
  private void makeEverythingSlow(FileDiskState state) {
    fixture.files.interleave =
        () -> {
          if (within) {
            return;
          }
          within = true;
          CompletableFuture.runAsync(
                  () -> {
                    for (int i = 0; i < 20; i++) {
                      fixture.host.pass(1);
                      assertTrue(state.beat());
                    }
                    fixture.disk.write(0, 1);
                  })
              .orTimeout(30, TimeUnit.SECONDS)
              .join();
          try (FileDiskState again = fixture.open(fixture.files.copy())) {
            findings.add(again.finding());
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
          within = false;
        };
  }

  private void assertNothingIsInDoubt() {
    assertEquals(Set.of(""), Set.copyOf(findings));
  }

  @Test
  void slowCommitDoesNotMakeHeartbeatsLate() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent first = marked(state);
    state.commit(List.of(StateFixture.live("first", first)));
    DiskState.LiveContent second = marked(state);
    makeEverythingSlow(state);
    state.commit(List.of(StateFixture.live("first", first), StateFixture.live("second", second)));
    state.close();
    assertNothingIsInDoubt();
  }

  @Test
  void slowCommitOfTheFirstBitmapDoesNotMakeHeartbeatsLate() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent first = marked(state);
    makeEverythingSlow(state);
    state.commit(List.of(StateFixture.live("first", first)));
    state.close();
    assertNothingIsInDoubt();
  }

  @Test
  void slowForcingOfMarksDoesNotMakeHeartbeatsLate() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent first = marked(state);
    state.commit(List.of(StateFixture.live("first", first)));
    state.marks().whenCovered(0, 1, () -> {});
    fixture.runTasks();
    fixture.host.pass(100);
    assertTrue(state.beat());
    makeEverythingSlow(state);
    state.tick();
    state.close();
    assertNothingIsInDoubt();
  }

  @Test
  void stateWithoutBitmapsIsLeftAlone() throws IOException {
    FileDiskState state = fixture.open();
    List<String> steps = new ArrayList<>();
    fixture.files.fault = steps::add;
    int asked = fixture.disk.askedForTime;
    fixture.host.pass(100);
    assertTrue(state.beat());
    state.tick();
    assertEquals(List.of(), steps);
    assertEquals(asked, fixture.disk.askedForTime);
  }

  @Test
  void heartbeatsEndWithTheState() throws IOException {
    FileDiskState state = fixture.open();
    state.close();
    assertFalse(state.beat());
  }
}
