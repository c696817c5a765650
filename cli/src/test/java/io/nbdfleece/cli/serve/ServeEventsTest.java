// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.serve.ServeEvents.Event;
import org.junit.jupiter.api.Test;

final class ServeEventsTest {
  private final ServeEvents events = new ServeEvents();

  @Test
  void nothingWantedIsATick() {
    assertEquals(Event.TICK, events.next(1));
  }

  @Test
  void severalReloadsAskedForAtOnceAreOne() {
    events.reload();
    events.reload();
    assertEquals(Event.RELOAD, events.next(1));
    assertEquals(Event.TICK, events.next(1));
    events.reload();
    assertEquals(Event.RELOAD, events.next(1));
  }

  @Test
  void stopComesBeforeReloadAndStays() {
    events.reload();
    events.stop();
    assertEquals(Event.STOP, events.next(Long.MAX_VALUE));
    assertEquals(Event.STOP, events.next(Long.MAX_VALUE));
  }

  @Test
  void anInterruptIsAStop() {
    Thread.currentThread().interrupt();
    assertEquals(Event.STOP, events.next(Long.MAX_VALUE));
    assertTrue(Thread.interrupted());
  }
}
