// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.demo;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/// What the guest knows of its own writes: per block the last one acknowledged, and around a freeze
/// every write with the times of its start and of its acknowledgement. At most one write per block
/// is in flight, so the order of the writes to one block is known. Any thread.
///
/// Times err to the safe side: a start is noted before the request is sent, an acknowledgement
/// after the reply came.
final class WriteJournal {
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final int[] acknowledged;

  @GuardedBy("lock")
  private final List<Entry> inFlight = new ArrayList<>();

  @GuardedBy("lock")
  private List<Entry> recorded = new ArrayList<>();

  @GuardedBy("lock")
  private boolean recording;

  WriteJournal(int blockCount) {
    acknowledged = new int[blockCount];
  }

  /// Notes that a write is about to be sent.
  Entry started(int block, int write) {
    Entry entry = new Entry(block, write, System.nanoTime());
    lock.lock();
    try {
      inFlight.add(entry);
      if (recording) {
        recorded.add(entry);
      }
    } finally {
      lock.unlock();
    }
    return entry;
  }

  /// Notes that the reply came.
  void acknowledged(Entry entry) {
    long nanos = System.nanoTime();
    lock.lock();
    try {
      entry.acknowledgedNanos = nanos;
      acknowledged[entry.block] = entry.write;
      inFlight.remove(entry);
    } finally {
      lock.unlock();
    }
  }

  /// From here on all writes are recorded, those in flight included. Returns what is acknowledged,
  /// by block.
  int[] startRecording() {
    lock.lock();
    try {
      recording = true;
      recorded = new ArrayList<>(inFlight);
      return acknowledged.clone();
    } finally {
      lock.unlock();
    }
  }

  /// Ends recording; the writes recorded, oldest first. Those still in flight have no time of
  /// acknowledgement yet.
  List<Entry> stopRecording() {
    lock.lock();
    try {
      recording = false;
      return recorded;
    } finally {
      lock.unlock();
    }
  }

  /// Blocks whose last acknowledged write is not the one in `before`.
  int changedSince(int[] before) {
    lock.lock();
    try {
      int changed = 0;
      for (int block = 0; block < before.length; block++) {
        changed += before[block] == acknowledged[block] ? 0 : 1;
      }
      return changed;
    } finally {
      lock.unlock();
    }
  }

  /// One write. `acknowledgedNanos` is written under the journal's lock, and read once the guest
  /// has stopped.
  static final class Entry {
    final int block;
    final int write;
    final long startedNanos;
    private volatile long acknowledgedNanos = Long.MAX_VALUE;

    Entry(int block, int write, long startedNanos) {
      this.block = block;
      this.write = write;
      this.startedNanos = startedNanos;
    }

    /// `Long.MAX_VALUE` when there is no reply yet.
    long acknowledgedNanos() {
      return acknowledgedNanos;
    }
  }
}
