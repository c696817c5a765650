// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

final class EndSignalsTest {
  private final AtomicLong nanos = new AtomicLong(-1);
  private final EndSignals signals = new EndSignals(nanos::get);

  @Test
  void oneSignalThatComesTwiceIsOne() {
    assertEquals(EndSignals.Meaning.END, signals.next("TERM"));
    nanos.addAndGet(1_000);
    assertEquals(EndSignals.Meaning.ECHO, signals.next("TERM"));
    nanos.addAndGet(499_000_000);
    assertEquals(EndSignals.Meaning.ECHO, signals.next("TERM"));
    nanos.addAndGet(999_000);
    assertEquals(EndSignals.Meaning.END_AT_ONCE, signals.next("TERM"));
  }

  @Test
  void anotherSignalIsASecondOneHoweverSoonItComes() {
    assertEquals(EndSignals.Meaning.END, signals.next("TERM"));
    assertEquals(EndSignals.Meaning.END_AT_ONCE, signals.next("INT"));
  }
}
