// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import java.util.concurrent.atomic.AtomicLong;

/// How much heap the parts of clusters, of all disks together, may take. When it is used up,
/// clusters of which nothing near is preserved in part are preserved whole: writes take longer, and
/// nothing else is lost.
///
/// **Threads.** Any thread.
public final class PartBudget {
  private final long bytesMax;
  private final AtomicLong usedBytes = new AtomicLong();

  /// @param bytesMax at least 0
  public PartBudget(long bytesMax) {
    if (bytesMax < 0) {
      throw new IllegalArgumentException("bytesMax: " + bytesMax + " (expected: >= 0)");
    }
    this.bytesMax = bytesMax;
  }

  boolean hasRoom() {
    return usedBytes.get() < bytesMax;
  }

  void take(long bytes) {
    usedBytes.addAndGet(bytes);
  }

  void giveBack(long bytes) {
    usedBytes.addAndGet(-bytes);
  }

  long usedBytes() {
    return usedBytes.get();
  }
}
