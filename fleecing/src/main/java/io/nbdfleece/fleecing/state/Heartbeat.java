// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;

/// Notes in a disk's activity log when the server was last known to run. After a kill a disk that
/// was changed later than that, by some margin, was changed by somebody else.
///
/// **Threads.** Any thread. No lock is taken, so that nothing that waits for storage, a commit for
/// example, makes a heartbeat late: then the server's own last writes would look like a stranger's.
final class Heartbeat {
  /// One on stable storage is not older than this, by much.
  static final long FORCE_NANOS = 60_000_000_000L;

  private final StateFiles.PatchedFile log;
  private final AtomicLong notedEpochNanos = new AtomicLong();
  private final AtomicLong forcedEpochNanos = new AtomicLong();
  private volatile boolean needed;

  /// @param log with [LogLayout#empty] in it
  Heartbeat(StateFiles.PatchedFile log) {
    this.log = log;
  }

  /// Whether there is anything that would have to be believed after a kill.
  void need(boolean isNeeded) {
    needed = isNeeded;
  }

  /// Does nothing when it is not needed.
  void note(long epochNanos) throws IOException {
    if (needed) {
      log.write(LogLayout.HEARTBEAT_OFFSET, LogLayout.heartbeat(epochNanos));
      notedEpochNanos.set(epochNanos);
    }
  }

  /// Makes the last one durable, if the last that is so is too old. Waits for storage.
  void forceIfOld() throws IOException {
    long noted = notedEpochNanos.get();
    if (needed && noted - forcedEpochNanos.get() >= FORCE_NANOS) {
      log.force();
      forcedEpochNanos.set(noted);
    }
  }
}
