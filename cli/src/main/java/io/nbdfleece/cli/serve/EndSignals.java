// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.time.Duration;
import java.util.function.LongSupplier;

/// The signals that end a server: the first one lets it end in order, a second one at once. Any
/// thread.
///
/// `timeout` signals its child and then the child's process group, so one signal may come twice:
/// that is no second one.
final class EndSignals {
  private static final long ECHO_NANOS = Duration.ofMillis(500).toNanos();

  private final LongSupplier nanoClock;
  // Empty when none has come. Both under the lock of this object.
  private String first = "";
  private long firstNanos;

  /// @param nanoClock as [System#nanoTime]
  EndSignals(LongSupplier nanoClock) {
    this.nanoClock = nanoClock;
  }

  /// What a signal asks for.
  enum Meaning {
    END,
    ECHO,
    END_AT_ONCE
  }

  /// Takes the next one.
  ///
  /// @param name `TERM` or `INT`
  synchronized Meaning next(String name) {
    long nanos = nanoClock.getAsLong();
    if (first.isEmpty()) {
      first = name;
      firstNanos = nanos;
      return Meaning.END;
    }
    return name.equals(first) && nanos - firstNanos < ECHO_NANOS
        ? Meaning.ECHO
        : Meaning.END_AT_ONCE;
  }
}
