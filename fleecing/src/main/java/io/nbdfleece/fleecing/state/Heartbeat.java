// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/// Notes in a disk's activity log when the server was last known to run. After a kill a disk that
/// was changed later than that, by some margin, was changed by somebody else; and one that claims
/// to have been changed last before it had been by then, was put back from an older copy.
///
/// **Threads.** Any thread. No lock is taken, so that nothing that waits for storage, a commit for
/// example, makes a heartbeat late: then the server's own last writes would look like a stranger's.
final class Heartbeat {
  /// One on stable storage is not older than this, by much.
  static final long FORCE_NANOS = 60_000_000_000L;

  private final StateFiles.PatchedFile log;
  private volatile @Nullable Beat noted;
  private volatile @Nullable Beat forced;
  private volatile boolean needed;
  private volatile OptionalLong modifiedEpochNanos = OptionalLong.empty();

  /// When it was, by the clock on the wall and by the one that nobody sets.
  private record Beat(long epochNanos, long nanoTime) {

    /* Also when the clock on the wall was set: what lies on stable storage is compared with times
     * that the system gives to files from now on. */
    boolean isOldAt(Beat now) {
      return now.nanoTime - nanoTime >= FORCE_NANOS
          || Math.abs(now.epochNanos - epochNanos) >= FORCE_NANOS;
    }
  }

  /// @param log with [LogLayout#empty] in it
  Heartbeat(StateFiles.PatchedFile log) {
    this.log = log;
  }

  /// Whether there is anything that would have to be believed after a kill.
  void need(boolean isNeeded) {
    needed = isNeeded;
  }

  boolean isNeeded() {
    return needed;
  }

  /// When the disk was last written to, for the next ones. Asking for it may wait for the disk, so
  /// a heartbeat does not.
  void diskModified(OptionalLong epochNanos) {
    modifiedEpochNanos = epochNanos;
  }

  /// Does nothing when it is not needed.
  void note(long epochNanos, long nanoTime) throws IOException {
    if (needed) {
      log.write(LogLayout.HEARTBEAT_OFFSET, LogLayout.heartbeat(epochNanos, modifiedEpochNanos));
      noted = new Beat(epochNanos, nanoTime);
    }
  }

  /// Makes the last one durable, if the last that is so is too old. Waits for storage.
  void forceIfOld() throws IOException {
    Beat now = noted;
    Beat before = forced;
    if (needed && now != null && (before == null || before.isOldAt(now))) {
      log.force();
      forced = now;
    }
  }
}
