// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/// How much may be preserved for one snapshot, on all its disks together. Beyond it the snapshot is
/// broken, whatever its policy, on all its disks. Clusters that several snapshots share count for
/// each of them; zeroes do not count.
///
/// **Threads.** Any thread. Counting happens under the hooks' locks, [#act] under none.
public final class PreservedQuota {
  private final long bytesMax;
  private final LongConsumer near;
  private final AtomicLong usedBytes = new AtomicLong();
  private final AtomicBoolean nearTold = new AtomicBoolean();
  private final AtomicBoolean exhausted = new AtomicBoolean();
  private final List<SnapshotView> views = new CopyOnWriteArrayList<>();

  /// @param bytesMax at least 1
  /// @param near told what is used when that reaches 80 %, and again only after it was below 70 %
  public PreservedQuota(long bytesMax, LongConsumer near) {
    if (bytesMax < 1) {
      throw new IllegalArgumentException("max-preserved: " + bytesMax + " (expected: at least 1)");
    }
    this.bytesMax = bytesMax;
    this.near = near;
  }

  /// The view is of this snapshot.
  void covers(SnapshotView view) {
    views.add(view);
  }

  void take(long bytes) {
    usedBytes.addAndGet(bytes);
  }

  void giveBack(long bytes) {
    if (usedBytes.addAndGet(-bytes) < bytesMax - bytesMax / 10 * 3) {
      nearTold.set(false);
    }
  }

  /// Whether [#act] has something to do.
  boolean isDue() {
    long used = usedBytes.get();
    return used > bytesMax ? !exhausted.get() : isNear(used) && !nearTold.get();
  }

  private boolean isNear(long used) {
    return used >= bytesMax - bytesMax / 5;
  }

  /// Tells that the end is near, or breaks the snapshot; each once.
  void act() {
    long used = usedBytes.get();
    if (used > bytesMax) {
      if (exhausted.compareAndSet(false, true)) {
        views.forEach(view -> view.breakBecause(reason()));
      }
    } else if (isNear(used) && nearTold.compareAndSet(false, true)) {
      near.accept(used);
    }
  }

  private String reason() {
    return "its size limit is reached: more than "
        + bytesMax
        + " bytes would have to be preserved for it (max-preserved)";
  }
}
