// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.function.IntConsumer;

/// Holds preserved clusters: a RAM tier with one byte budget for the process and a disk tier. It
/// never loses one silently (I6): an entry leaves only by [#release].
///
/// An entry is an `int` from 0, so that a disk of 16 million clusters costs 4 bytes a cluster in
/// whoever keeps the map. An entry always holds exactly [#clusterBytes] bytes; what a short last
/// cluster lacks is filled up by the caller.
///
/// Room that is left over may hold spare entries: copies that their owner can do without. They
/// count in the RAM budget, never cost another entry its place, and are the first to go when a slot
/// is needed, at no cost.
///
/// **Threads.** Every method may be called by any thread, and none waits. [Completion] and
/// [SlotCompletion] are called with no lock of the store held. The store calls no code of its
/// caller under a lock, so a caller may call [#pin], [#unpin], [#tierOf], [#acquireSpare],
/// [#commitSpare], [#pinSpare] and [#keep] under a lock of its own.
public interface ClusterStore extends AutoCloseable {

  /// The size of every entry, in bytes.
  int clusterBytes();

  /// Asks for `count` free RAM slots to fill, at least 1. All at once, inside the call, when so
  /// many are free; else some at a time, as the spiller frees them; those still missing fail with a
  /// [StoreFullException] when RAM is full and nothing more can be spilled. Every slot given MUST
  /// go to [#commit] or [#abandon] soon, and may not wait for the others.
  void acquire(int count, SlotCompletion done);

  /// The slot's content is complete: it becomes an entry. After the return the store holds it, in
  /// RAM or further down, until [#release]. The slot must not be touched any more.
  ///
  /// @return the entry, not negative
  default int commit(RamSlot slot) {
    return commit(List.of(slot))[0];
  }

  /// [#commit] of several.
  ///
  /// @return the entries, in order
  int[] commit(List<? extends RamSlot> slots);

  /// Gives a slot back unused.
  default void abandon(RamSlot slot) {
    abandon(List.of(slot));
  }

  /// [#abandon] of several.
  void abandon(List<? extends RamSlot> slots);

  /// Keeps the bytes of an entry from being reused until [#unpin], even if it is released
  /// meanwhile.
  void pin(int entry);

  /// Takes one [#pin] back.
  void unpin(int entry);

  /// Reads from a pinned entry: fills `target` from its position to its limit with the bytes at
  /// `offsetBytes` of the cluster. Fails when the disk tier cannot be read or its checksum is
  /// wrong, never with wrong bytes; with an [EntryLostException] when trying again is of no use.
  void read(int entry, int offsetBytes, ByteBuffer target, Completion done);

  /// Drops entries; their space is free for others at once, or when the last pin goes.
  ///
  /// @param entries the first `count` elements are entries; each is released exactly once in its
  ///   life
  void release(int[] entries, int count);

  /// Brings a pinned entry of the disk tier back into RAM too, as a spare copy, if there is room.
  ///
  /// @param done fails when the entry cannot be read; not called when there is no room
  /// @return whether there is room
  boolean prefetch(int entry, Completion done);

  /// A slot that nothing else needs now, if there is one. It MUST go to [#commitSpare] or
  /// [#abandon].
  Optional<RamSlot> acquireSpare();

  /// The slot's content is complete: it becomes a spare entry, which the store may drop at any time
  /// until [#keep]. Its number stays taken until [#release].
  ///
  /// @param whenDropped is called at most once, with the entry, some time after it was dropped
  /// @return the entry, not negative
  int commitSpare(RamSlot slot, IntConsumer whenDropped);

  /// Like [#pin] for a spare entry, which is not dropped then before it is unpinned.
  ///
  /// @return whether it is pinned: false when it has been dropped already
  boolean pinSpare(int entry);

  /// Makes a spare entry like any other: from the return on the store holds it. The caller MUST
  /// call [#kept] soon, under no lock, so that it takes its part in the RAM tier.
  ///
  /// @return false when it has been dropped already
  boolean keep(int entry);

  /// Completes [#keep]; entries that have been released meanwhile do not matter.
  ///
  /// @param entries the first `count` elements are entries
  void kept(int[] entries, int count);

  /// Where the entry is now. A snapshot of a moving thing: for people and hints.
  Tier tierOf(int entry);

  /// How much of what the tiers can take is taken by entries, in thousandths. While the disk tier
  /// takes no more, it can take what it has taken. Costs a volatile read; may be a moment old.
  int filledPermille();

  /// Figures for people.
  StoreStatistics statistics();

  /// Ends the spiller and frees RAM and disk. Nothing may use the store any more.
  @Override
  void close() throws IOException;

  /// Where an entry is.
  enum Tier {
    RAM,
    SPILLING,
    DISK
  }

  /// The answer to [#acquire], on any thread, one call after the other.
  interface SlotCompletion {

    /// These slots, at least 1, are the callee's to fill. Called until there have been as many as
    /// were asked for.
    void acquired(List<RamSlot> slots);

    /// There are no more, and none can be made. Then this was the last call.
    void failed(IOException error);
  }

  /// Room for one cluster in RAM, off-heap, owned by one caller between acquire and commit.
  interface RamSlot {

    /// The bytes, position 0, limit [ClusterStore#clusterBytes]; content undefined when acquired.
    /// The same buffer at each call: duplicate it before using it from two places.
    ByteBuffer buffer();
  }
}
