// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.util.concurrent.atomic.AtomicInteger;

/// One connection of a [RemoteLink], with what is needed to choose among several.
final class RemoteConnection {
  /// A connection that lasted that long was a good one even if nothing was asked of it.
  private static final long GOOD_NANOS = 5_000_000_000L;

  /// The same if something was answered. Not less: one of the requests may be what breaks them.
  private static final long GOOD_ANSWERED_NANOS = 1_000_000_000L;

  private final NbdClient client;
  private final AtomicInteger inFlight = new AtomicInteger();
  private final long sinceNanos = System.nanoTime();
  private volatile boolean answered;

  RemoteConnection(NbdClient client) {
    this.client = client;
  }

  NbdClient client() {
    return client;
  }

  int inFlight() {
    return inFlight.get();
  }

  void began() {
    inFlight.incrementAndGet();
  }

  void ended() {
    inFlight.decrementAndGet();
  }

  /// The server answered a request here.
  void answered() {
    if (!answered) {
      answered = true;
    }
  }

  /// Whether it was of use, so that connecting again at once is sensible.
  boolean wasGood() {
    return System.nanoTime() - sinceNanos > (answered ? GOOD_ANSWERED_NANOS : GOOD_NANOS);
  }
}
