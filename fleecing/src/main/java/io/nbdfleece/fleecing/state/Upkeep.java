// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.BitSet;
import java.util.OptionalLong;

/// What is to be done for a disk's state every so often while the disk is served.
///
/// **Threads.** [#tidy] under the lock of whoever owns the contents; the others by any thread.
final class Upkeep {
  /// How often regions are looked for that are not written any more. Each time costs two syncs.
  private static final int RETIRE_SECONDS = 10;

  private final Host host;
  private final ActivityLog log;
  private final Heartbeat heartbeat;
  private final ContentFiles contents;
  private final OptionalLong trackedUntilEpochNanos;
  private final long startNanos;
  private int retiredSeconds;

  /// @param trackedUntilEpochNanos as [DiskIdentity#trackedUntilEpochNanos]
  Upkeep(
      Host host,
      ActivityLog log,
      Heartbeat heartbeat,
      ContentFiles contents,
      OptionalLong trackedUntilEpochNanos) {
    this.trackedUntilEpochNanos = trackedUntilEpochNanos;
    this.host = host;
    this.log = log;
    this.heartbeat = heartbeat;
    this.contents = contents;
    this.startNanos = host.nanoTime();
  }

  /* Whatever the clock on the wall is set to meanwhile. */
  private int secondsAt(long nowNanos) {
    return (int) ((nowNanos - startNanos) / 1_000_000_000L);
  }

  /// Notes what time it is, and that the server runs; or the time up to which it has tracked all
  /// changes, where it does not any more.
  void beat() throws IOException {
    long now = host.nanoTime();
    log.time(secondsAt(now));
    heartbeat.note(trackedUntilEpochNanos.orElse(host.epochNanos()), now);
  }

  /// From now on heartbeats are needed, or not. If they are, there is one, not too old, on stable
  /// storage at the return.
  void needHeartbeats(boolean needed) throws IOException {
    heartbeat.need(needed);
    beat();
    heartbeat.forceIfOld();
  }

  /// Takes regions out of the log that are not written any more, and gives memory back.
  void tidy() throws IOException {
    long now = host.nanoTime();
    contents.unmapDropped(now);
    int seconds = secondsAt(now);
    if (seconds - retiredSeconds >= RETIRE_SECONDS) {
      retiredSeconds = seconds;
      BitSet idle = log.beginRetiring();
      if (!idle.isEmpty()) {
        contents.force(); // all that writes may mark, listed yet or not
        log.endRetiring(idle);
      }
    }
  }
}
