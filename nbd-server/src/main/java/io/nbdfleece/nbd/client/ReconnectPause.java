// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.util.concurrent.TimeUnit;

/// How long a [RemoteLink] waits before it tries to connect: not at all after a connection that was
/// of use, else a time that doubles. Not thread-safe.
final class ReconnectPause {
  private static final long NANOS_MIN = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long NANOS_MAX = TimeUnit.SECONDS.toNanos(5);

  /// When there are connections and only more of them are refused, there is no hurry.
  private static final long NANOS_MAX_FOR_MORE = TimeUnit.SECONDS.toNanos(60);

  private long nanos;

  /// The last connection lost was of no use, so the next one may not be either.
  private boolean fleeting;

  long nanos() {
    return nanos;
  }

  /// @param wasGood whether it was of use
  /// @param liveCount of the others
  void lost(boolean wasGood, int liveCount) {
    fleeting = !wasGood;
    if (wasGood) {
      nanos = 0;
    } else {
      refused(liveCount);
    }
  }

  void refused(int liveCount) {
    nanos = Math.clamp(nanos * 2, NANOS_MIN, liveCount == 0 ? NANOS_MAX : NANOS_MAX_FOR_MORE);
  }

  /// What was refused before is over. What broke may break again.
  void connected() {
    if (!fleeting) {
      nanos = 0;
    }
  }
}
