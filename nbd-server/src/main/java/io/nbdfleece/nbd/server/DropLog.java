// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.lang.System.Logger.Level;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/// One line for a client that was dropped; when the same peer is dropped again and again, one line
/// per second. Remembers a bounded number of peers. Thread-safe; logs outside of the lock.
final class DropLog {
  private static final System.Logger LOG = System.getLogger("io.nbdfleece.nbd.server.connections");
  private static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final int PEERS_MAX = 256;

  private final LongSupplier clock;
  private final Object lock = new Object();

  /// By peer, oldest first.
  @GuardedBy("lock")
  private final Map<String, Drops> entries =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Drops> eldest) {
          return size() > PEERS_MAX;
        }
      };

  private record Drops(long loggedNanos, int unlogged) {}

  DropLog(LongSupplier clock) {
    this.clock = clock;
  }

  /// @param peer without a port, so that its connections count as one
  void log(String peer, String line) {
    int before = admit(peer);
    if (before >= 0) {
      LOG.log(
          Level.INFO, before == 0 ? line : line + " (and " + before + " more from there before)");
    } else {
      LOG.log(Level.DEBUG, line);
    }
  }

  /// How many lines about that peer were left out since the last one; -1 when this one is, too.
  int admit(String peer) {
    long now = clock.getAsLong();
    synchronized (lock) {
      Drops entry = entries.get(peer);
      if (entry != null && now - entry.loggedNanos < SILENCE_NANOS) {
        entries.put(peer, new Drops(entry.loggedNanos, entry.unlogged + 1));
        return -1;
      }
      entries.remove(peer);
      entries.put(peer, new Drops(now, 0));
      return entry == null ? 0 : entry.unlogged;
    }
  }
}
