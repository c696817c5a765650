// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.util.function.IntConsumer;

/// An entry that is in RAM. A new object for each commit, so that whoever still has an old one can
/// be told from the entry that has the same number now. Changes under the store's lock only.
///
/// ```
///   RESIDENT ──evicted──▶ QUEUED ──▶ WRITING ──▶ WRITTEN ──last unpin──▶ (on disk only)
///      ▲                     ▲          │
///    kept                    └─ failed ─┘
///      │
///    SPARE ──dropped──▶ (nowhere)       CACHED ──dropped──▶ (on disk only)
/// ```
final class RamCopy {
  final int entry;
  final Slot slot;
  State state = State.RESIDENT;

  /// Space of the disk tier is accounted to it, maybe with bytes of a failed write.
  boolean hasDiskSlot;

  /// Its owner has released it, but a pin or a write still needs the bytes.
  boolean released;

  /// Its slot becomes free without further I/O, when a pin goes.
  boolean owed;

  /// A spare copy that is to go with its last pin.
  boolean dropped;

  /// A spare copy that has been read.
  boolean used;

  /// Of a spare entry: who wants to know that it was dropped.
  IntConsumer whenDropped = entry -> {};

  RamCopy(int entry, Slot slot) {
    this.entry = entry;
    this.slot = slot;
  }

  enum State {
    RESIDENT,
    QUEUED,
    WRITING,
    /// The disk has it too, but readers still use the slot.
    WRITTEN,
    /// Its owner can do without it. The policy does not know it.
    SPARE,
    /// The disk has it too. The policy does not know it.
    CACHED
  }

  boolean isSpare() {
    return state == State.SPARE || state == State.CACHED;
  }

  /// On its way to disk.
  boolean isSpilling() {
    return state != State.RESIDENT && !isSpare();
  }
}
