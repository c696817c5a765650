// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;
import org.roaringbitmap.RoaringBitmap;

/// What the disk tier has to do and may do: copies that wait to be written, ranges that wait to be
/// punched, the space accounted, and whether writing works. It does no I/O.
///
/// While blocked (the cap is reached, or a write failed) nothing is written; copies stay parked in
/// the queue, authoritative in RAM, until [#unblock].
///
/// Not thread-safe: guarded by the store's lock.
final class SpillLedger {
  /// What is written together: enough to make a system call worth it, and not so much that who
  /// waits for a slot waits for long, even of a slow disk.
  private static final int TOGETHER_BYTES_MAX = 256 << 10;

  /// On their way at once, at least, if the file takes so many.
  private static final int WRITING_COUNT_MIN = 4;

  private static final int PUNCH_ENTRIES_MAX = 4096;

  private final int togetherMax;
  private final int writingMax;
  private StoreConfig config;
  private long slotCountMax;
  private final EntryNumbers numbers;

  /// By entry, in the order of their coming; each can be taken out when it is released.
  private final SequencedMap<Integer, RamCopy> queue = new LinkedHashMap<>();

  private final RoaringBitmap toPunch = new RoaringBitmap();
  private long slotCount;

  /// Copies in the queue that have space already, because writing them has failed.
  private int failedCount;

  /// Copies on their way.
  private int writing;

  private boolean punching;
  private boolean blocked;
  private String problem = "";

  SpillLedger(StoreConfig config, EntryNumbers numbers) {
    this.togetherMax = Math.max(1, TOGETHER_BYTES_MAX / config.clusterBytes());
    this.writingMax = Math.max(WRITING_COUNT_MIN, togetherMax);
    this.config = config;
    this.slotCountMax = config.scratchSlotCount();
    this.numbers = numbers;
  }

  /// The next thing to do, which then is under way, or null.
  @Nullable SpillWork next() {
    if (!punching && !toPunch.isEmpty()) {
      return nextPunch();
    }
    if (blocked || writing >= writingMax) {
      return null;
    }
    if (queue.isEmpty()) {
      forgetProblemIfOver();
      return null;
    }
    RamCopy copy = queue.firstEntry().getValue();
    if (!fits(copy)) {
      if (!isPunchPending()) {
        block(StoreTexts.scratchFull(config));
      }
      return null;
    }
    return new SpillWork.Write(beginWithNeighbours(copy));
  }

  private List<RamCopy> beginWithNeighbours(RamCopy copy) {
    Deque<RamCopy> begun = new ArrayDeque<>();
    RamCopy next = copy;
    while (next != null && begun.size() < togetherMax && fits(next)) {
      begin(next);
      begun.addLast(next);
      next = queue.get(next.entry + 1);
    }
    next = queue.get(copy.entry - 1);
    while (next != null && begun.size() < togetherMax && fits(next)) {
      begin(next);
      begun.addFirst(next);
      next = queue.get(next.entry - 1);
    }
    return List.copyOf(begun);
  }

  private boolean fits(RamCopy copy) {
    return writing < writingMax && (copy.hasDiskSlot || slotCount < slotCountMax);
  }

  private void begin(RamCopy copy) {
    queue.remove(copy.entry);
    if (copy.hasDiskSlot) {
      failedCount--;
    } else {
      copy.hasDiskSlot = true;
      slotCount++;
    }
    copy.state = RamCopy.State.WRITING;
    writing++;
  }

  private SpillWork nextPunch() {
    int first = toPunch.first();
    long end = Math.min(toPunch.nextAbsentValue(first), (long) first + PUNCH_ENTRIES_MAX);
    toPunch.remove((long) first, end);
    punching = true;
    return new SpillWork.Punch(first, (int) (end - first));
  }

  void enqueue(RamCopy copy) {
    copy.state = RamCopy.State.QUEUED;
    queue.putLast(copy.entry, copy);
  }

  /// The copy need not be written any more.
  void dequeue(RamCopy copy) {
    boolean queued = queue.remove(copy.entry, copy);
    if (queued && copy.hasDiskSlot) {
      failedCount--;
    }
    forgetProblemIfOver();
  }

  /// Once nothing is parked any more, nothing is wrong that we know of.
  private void forgetProblemIfOver() {
    if (queue.isEmpty() && writing == 0) {
      blocked = false;
      problem = "";
    }
  }

  void wrote(RamCopy copy) {
    writing--;
    copy.state = RamCopy.State.WRITTEN;
    if (!blocked) {
      problem = "";
    }
    forgetProblemIfOver();
  }

  void writeFailed(RamCopy copy, IOException error) {
    writing--;
    copy.state = RamCopy.State.QUEUED;
    queue.putFirst(copy.entry, copy);
    failedCount++;
    block(StoreTexts.scratchFails(config, error));
  }

  /// The entry and its space of the disk tier are given up.
  void giveUp(int entry) {
    toPunch.add(entry);
  }

  void punched(SpillWork.Punch punch) {
    punching = false;
    slotCount -= punch.count();
    numbers.giveBack(punch.first(), punch.count());
    unblock();
  }

  /// What is parked may be tried again.
  void unblock() {
    blocked = false;
  }

  private void block(String why) {
    blocked = true;
    problem = why;
  }

  boolean hasWork() {
    return (!punching && !toPunch.isEmpty())
        || (!blocked && writing < writingMax && !queue.isEmpty());
  }

  boolean isBlocked() {
    return blocked;
  }

  /// No write and no punch is under way.
  boolean isIdle() {
    return writing == 0 && !punching;
  }

  /// Nothing under way or due will let a RAM slot go free.
  boolean isStuck() {
    return slotCountMax == 0 || (blocked && writing == 0 && !isPunchPending());
  }

  /// Why it is stuck.
  String stuckText() {
    return slotCountMax == 0 ? StoreTexts.ramFull(config) : problem;
  }

  String problem() {
    return problem;
  }

  long slotCount() {
    return slotCount;
  }

  /// How many entries the disk tier can take: no more than it has while it takes none.
  long slotCountPossible() {
    return problem.isEmpty() ? slotCountMax : Math.min(slotCount - failedCount, slotCountMax);
  }

  /// @throws IOException if the tier holds more than it is to have
  void requireFit(StoreConfig next) throws IOException {
    if (slotCount > next.scratchSlotCount()) {
      throw new IOException(StoreTexts.tooSmallForDiskTier(slotCount * next.clusterBytes(), next));
    }
  }

  /// After [#requireFit].
  void resize(StoreConfig next) {
    config = next;
    slotCountMax = next.scratchSlotCount();
    unblock();
  }

  private boolean isPunchPending() {
    return punching || !toPunch.isEmpty();
  }
}
