// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import static io.nbdfleece.fleecing.state.StateFixture.GRANULE_BYTES;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/// After a kill somebody restores the disk in place, from a copy that has kept its time (`cp -p`):
/// no bitmap knows of that.
final class PutBackDiskTest {
  private static final String PUT_BACK =
      "disk vda was put back from an older copy after it was last served";

  private final StateFixture fixture = new StateFixture();

  /// One bitmap, and a write that a heartbeat knows of; then it is as after a kill.
  private long killed() throws IOException {
    fixture.disk.write(0, 1);
    long copied = fixture.host.epochNanos();
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("b", live)));
    fixture.pass(state, 10);
    live.bits().mark(0, 1);
    fixture.disk.write(0, 1);
    fixture.pass(state, 1);
    fixture.pass(state, 1);
    state.close();
    return copied;
  }

  private String finding() throws IOException {
    try (FileDiskState again = fixture.open()) {
      return again.finding();
    }
  }

  @Test
  void isNotTakenForTheDiskThatWasServed() throws IOException {
    fixture.disk.putBack(killed());
    assertEquals(PUT_BACK, finding());
  }

  /// While there was no bitmap nobody has looked when it was written.
  @Test
  void norWhenTheServerIsKilledRightAfterTheFirstBitmapWasMade() throws IOException {
    FileDiskState state = fixture.open();
    long copied = fixture.host.epochNanos();
    fixture.pass(state, 1000);
    fixture.disk.write(0, 1);
    fixture.pass(state, 1000);
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("b", live)));
    state.close();
    fixture.disk.putBack(copied);
    assertEquals(PUT_BACK, finding());
  }

  @Test
  void theDiskItselfIs() throws IOException {
    long _ = killed();
    assertEquals("", finding());
  }

  /// By a clock that was ahead, and was set back since.
  @Test
  void norIsOneThatWasWrittenInTheFuture() throws IOException {
    FileDiskState state = fixture.open();
    DiskState.LiveContent live = state.create(GRANULE_BYTES);
    state.commit(List.of(StateFixture.live("b", live)));
    fixture.disk.write(0, 1);
    fixture.host.setClock(-3600);
    fixture.pass(state, 10);
    fixture.pass(state, 10);
    state.close();
    assertEquals("", finding());
  }

  @Test
  void aTimeThatThePowerCutHasTakenBackIsNone() throws IOException {
    long copied = killed();
    fixture.host.reboot();
    fixture.disk.putBack(copied);
    assertEquals("", finding());
  }
}
