// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/// The connections that have one disk of a snapshot open. Whoever serves it counts them.
/// Thread-safe.
public final class SnapshotClients {
  private final AtomicInteger present = new AtomicInteger();
  private final AtomicLong visits = new AtomicLong();

  /// A connection has opened it.
  public void came() {
    present.incrementAndGet();
    visits.incrementAndGet();
  }

  /// One of those is gone.
  public void left() {
    present.decrementAndGet();
  }

  /// How many there are now.
  public int present() {
    return present.get();
  }

  /// How many have come so far. By it those are seen that came and left between two looks.
  long visits() {
    return visits.get();
  }
}
