// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/// Connections that have not opened an export yet. There is a limit to them, which silent ones must
/// not use up: when it is reached, a new connection takes the place of another one. Thread-safe;
/// nothing foreign runs under the lock.
final class Handshakes {
  /*
   * Who goes? The one that makes no progress for longest, counted from its last complete step (its
   * acceptance, its client flags, an option, the end of the TLS handshake), and before all others
   * one that has never said anything. So a client that talks is safe from any number of silent
   * ones, and among talking ones the quickest stay.
   *
   * That leaves the time from a client's acceptance to its first four bytes, in which it looks like
   * a silent one: a flood could push it out before it had a chance. Therefore nothing younger than
   * GRACE gives way; while there is nothing older, no more is accepted, and new clients wait in the
   * kernel's queue. A flood costs a new client at most the time the flood needs to pass through,
   * limit by limit per GRACE: 1,000 sockets need less than half a second.
   *
   * Sockets that talk must not bring that about as well: some places are for silent ones younger
   * than GRACE. While these are few, a talking one goes, and nobody waits in the kernel's queue,
   * however many talk and however often they come back.
   */
  private static final long GRACE_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

  private final int countMax;
  private final int brakeCount;
  private final int youngPlaces;
  private final LongSupplier clock;
  private final Object lock = new Object();

  /// Nothing said yet, oldest first, with the time of the acceptance.
  @GuardedBy("lock")
  private final Map<Connection, Long> silent = new LinkedHashMap<>();

  /// The others, with the time of the last progress, oldest first.
  @GuardedBy("lock")
  private final Map<Connection, Long> talking = new LinkedHashMap<>();

  /// @param clock nanoseconds
  Handshakes(int countMax, LongSupplier clock) {
    this.countMax = countMax;
    this.clock = clock;
    // Some accepted ones may not have arrived here when the next ones are accepted.
    this.brakeCount = Math.max(1, countMax - countMax / 4);
    this.youngPlaces = countMax / 4;
  }

  /// A connection begins; another one may have to go.
  void begin(Connection connection) {
    Connection victim = null;
    synchronized (lock) {
      if (silent.size() + talking.size() >= countMax) {
        victim = removeOldest();
      }
      silent.put(connection, clock.getAsLong());
    }
    if (victim != null) {
      victim.evict();
    }
  }

  @GuardedBy("lock")
  private @Nullable Connection removeOldest() {
    boolean sparesSilent =
        !talking.isEmpty() && silent.size() <= youngPlaces && graceLeftNanos() > 0;
    Map<Connection, Long> from = silent.isEmpty() || sparesSilent ? talking : silent;
    Map.Entry<Connection, Long> oldest = from.entrySet().iterator().next();
    Connection victim = oldest.getKey();
    from.remove(victim);
    return victim;
  }

  /// Of the oldest silent one; zero or less: it has had its chance, or there is none.
  @GuardedBy("lock")
  private long graceLeftNanos() {
    return silent.isEmpty()
        ? 0
        : GRACE_NANOS - (clock.getAsLong() - silent.values().iterator().next());
  }

  /// It has completed a step.
  void progress(Connection connection) {
    synchronized (lock) {
      // Not one that has just lost its place.
      if (silent.remove(connection) != null || talking.remove(connection) != null) {
        talking.put(connection, clock.getAsLong());
      }
    }
  }

  /// It has opened an export or gone.
  void end(Connection connection) {
    synchronized (lock) {
      silent.remove(connection);
      talking.remove(connection);
    }
  }

  int count() {
    synchronized (lock) {
      return silent.size() + talking.size();
    }
  }

  /// How long no more should be accepted; zero or less: go on.
  long pauseNanos() {
    synchronized (lock) {
      // Half of the places: some accepted ones may not have arrived here either.
      boolean hasRoom =
          silent.size() + talking.size() < brakeCount || silent.size() <= youngPlaces / 2;
      return hasRoom ? 0 : graceLeftNanos();
    }
  }
}
