// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;

/// Notices when somebody cuts a file that is being served, and remembers from where on its content
/// is lost. A write behind the new end makes the file longer again, and what lies between then
/// reads as zeroes that nobody wrote. So reads of it fail from the moment the cut is noticed: until
/// the file is opened anew, but for what has been written since.
///
/// **Threads.** Any thread. The lock is only taken once in a while, and after a cut.
public final class CutWatch {
  /* A cut can be met in three ways: a read finds the end too early; a write looks at the length
   * before it changes anything; somebody looks every second.
   *
   * A look costs a system call, which does not wait, but more than a write should pay. So writes
   * look when a millisecond has passed since the last look. A disk that is idle meets a cut before
   * it writes; a busy one may miss it when the write that comes behind the new end does so within
   * the millisecond in which the cut happens. Then, and when others cut the file and make it longer
   * again, nothing can be noticed: no system call tells it afterwards. */

  /// What is written in between does not look.
  static final long LOOK_EVERY_NANOS = 1_000_000;

  /// More pieces than this are not remembered as written again: they stay unreadable.
  static final int WRITTEN_RANGES_MAX = 16_384;

  private final LinuxFile file;

  /// How long it has to be; 0 = it is not watched.
  private final long neededBytes;

  private final ReentrantLock lock = new ReentrantLock();

  /// From where on it is lost; [Long#MAX_VALUE] while it is whole. Only becomes smaller.
  private volatile long lostFromBytes = Long.MAX_VALUE;

  /// How many cuts have been met.
  private final AtomicInteger cuts = new AtomicInteger();

  /// By the clock of the writes.
  private volatile long lookedNanos;

  private volatile boolean looked;

  /// What has been written since behind the cut: ends by starts.
  @GuardedBy("lock")
  private final TreeMap<Long, Long> written = new TreeMap<>();

  private CutWatch(LinuxFile file, long neededBytes) {
    this.file = file;
    this.neededBytes = neededBytes;
  }

  /// Of a file that has to stay as long as it is now. Block devices are not watched: a write does
  /// not make one longer.
  public static CutWatch of(LinuxFile file) throws IOException {
    return new CutWatch(file, file.kind() == LinuxFile.Kind.REGULAR ? file.sizeBytes() : 0);
  }

  /// Of a file of which nothing is expected.
  static CutWatch none(LinuxFile file) {
    return new CutWatch(file, 0);
  }

  /// A write is going to change the file.
  ///
  /// @param nowNanos like [System#nanoTime]
  /// @return to be given to [#wrote] afterwards
  int beforeWrite(long nowNanos) throws IOException {
    if (neededBytes != 0 && (!looked || nowNanos - lookedNanos >= LOOK_EVERY_NANOS)) {
      lookedNanos = nowNanos;
      looked = true;
      look();
    }
    return cuts.get();
  }

  /// The same; the clock is read only when it matters.
  int beforeWrite(LongSupplier nanoClock) throws IOException {
    return neededBytes == 0 ? 0 : beforeWrite(nanoClock.getAsLong());
  }

  /// A write has changed the file.
  ///
  /// @param cutsBefore from [#beforeWrite]: what a cut found in the middle may be gone again
  void wrote(int cutsBefore, long startBytes, long endBytes) {
    if (endBytes <= lostFromBytes) {
      return;
    }
    lock.lock();
    try {
      if (cutsBefore == cuts.get()) {
        add(startBytes, endBytes);
      }
    } finally {
      lock.unlock();
    }
  }

  @GuardedBy("lock")
  private void add(long startBytes, long endBytes) {
    long start = startBytes;
    long end = endBytes;
    Map.Entry<Long, Long> before = written.floorEntry(start);
    if (before != null && before.getValue() >= start) {
      start = before.getKey();
      end = Math.max(end, before.getValue());
    }
    Map.Entry<Long, Long> behind = written.ceilingEntry(start);
    while (behind != null && behind.getKey() <= end) {
      end = Math.max(end, behind.getValue());
      written.remove(behind.getKey());
      behind = written.ceilingEntry(start);
    }
    if (written.size() < WRITTEN_RANGES_MAX) {
      written.put(start, end);
    }
  }

  /// Looks at the length of the file now. Does not wait for a device.
  public void look() throws IOException {
    metEnd(Long.MAX_VALUE);
  }

  /// A read has found the end of the file at or before that offset.
  void metEnd(long endBytes) throws IOException {
    if (neededBytes == 0) {
      return;
    }
    lock.lock();
    try {
      // Under the lock: a write that ends meanwhile is added after what is cut here. What the read
      // has found is older than that, and counts only when it is news.
      long lengthBytes = file.sizeBytes();
      cut(endBytes < lostFromBytes ? Math.min(endBytes, lengthBytes) : lengthBytes);
    } finally {
      lock.unlock();
    }
  }

  @GuardedBy("lock")
  private void cut(long lengthBytes) {
    boolean news = lengthBytes < neededBytes && lengthBytes < lostFromBytes;
    Map.Entry<Long, Long> last = written.lastEntry();
    while (last != null && last.getValue() > lengthBytes) { // cut once more
      written.remove(last.getKey());
      if (last.getKey() < lengthBytes) {
        written.put(last.getKey(), lengthBytes);
      }
      news = true;
      last = written.lastEntry();
    }
    if (news) {
      // First: whoever sees what is lost must not take an earlier write for a later one.
      int _ = cuts.incrementAndGet();
      lostFromBytes = Math.min(lostFromBytes, lengthBytes);
    }
  }

  /// From where on bytes may be lost; [Long#MAX_VALUE] while none are.
  public long lostFromBytes() {
    return lostFromBytes;
  }

  /// Whether any byte of the range is lost.
  public boolean isLost(long startBytes, long endBytes) {
    if (endBytes <= lostFromBytes) {
      return false;
    }
    lock.lock();
    try {
      long start = Math.max(startBytes, lostFromBytes);
      Map.Entry<Long, Long> before = written.floorEntry(start);
      return before == null || before.getValue() < endBytes;
    } finally {
      lock.unlock();
    }
  }

  /// After a read, because the cut may have been met, and the file made longer, meanwhile.
  ///
  /// @throws IOException when any byte of the range is lost
  void requireKept(long startBytes, long endBytes) throws IOException {
    if (isLost(startBytes, endBytes)) {
      throw lost();
    }
  }

  /// For the people who read a log.
  IOException lost() {
    return new IOException(damage().orElse("file was truncated while open: " + file.path()));
  }

  /// What has become of the file and what to do; empty while it is whole.
  public Optional<String> damage() {
    long from = lostFromBytes;
    return from == Long.MAX_VALUE
        ? Optional.empty()
        : Optional.of(
            "file was truncated while open: "
                + file.path()
                + " ended at "
                + from
                + " (expected: "
                + neededBytes
                + "); what it held from there on is lost and cannot be read until it is written"
                + " again: stop the server and restore the file");
  }
}
