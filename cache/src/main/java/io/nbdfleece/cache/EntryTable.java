// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import io.nbdfleece.cache.ClusterStore.SlotCompletion;
import io.nbdfleece.cache.ClusterStore.Tier;
import io.nbdfleece.cache.posix.AnonymousMemory;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedSet;
import java.util.Set;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// Where every entry is, who has it pinned, and who waits for a slot. It does no I/O and calls
/// nobody: what others have to be told goes to [Deliveries].
///
/// An entry's number is its place in the disk tier's file, reserved at commit: the file is sparse,
/// so numbers cost nothing. An entry whose bytes are in RAM is in `copies`; any other is on disk.
/// So an entry on disk costs four bytes, its checksum. A number is reused when its hole has been
/// punched, not before: so a punch never hits a new entry.
///
/// Not thread-safe: guarded by the store's lock.
final class EntryTable {
  private StoreConfig config;
  private final Deliveries deliveries;
  private final RamSlots slots;
  private final EntryNumbers numbers = new EntryNumbers();
  private final Checksums checksums = new Checksums();
  private final SpillLedger ledger;
  private final Map<Integer, RamCopy> copies = new HashMap<>();
  private final Map<Integer, Pin> pins = new HashMap<>();
  private final SlotWaiters waiters;

  /// Spare copies, in the order in which they go.
  private final SequencedSet<RamCopy> spares = new LinkedHashSet<>();

  /// Spare entries that were dropped and that their owner has not released yet.
  private final Set<Integer> droppedEntries = new HashSet<>();

  /// Copies whose slot goes free with their last pin, and slots being filled for spare copies,
  /// which whoever waits for a slot gets.
  private int owedCount;

  private int spillingCount;
  private long entryCount;
  private long committedTotal;
  private long spilledTotal;
  private long releasedTotal;
  private long slotWaitsTotal;

  /// @param workCameUp called under the lock when [#nextWork] has something that no call shows
  EntryTable(StoreConfig config, Deliveries deliveries, Runnable workCameUp) {
    this.config = config;
    this.deliveries = deliveries;
    this.waiters = new SlotWaiters(deliveries);
    this.slots = new RamSlots(config.clusterBytes(), config.ramSlotCount(), workCameUp);
    this.ledger = new SpillLedger(config, numbers);
  }

  SpillLedger ledger() {
    return ledger;
  }

  RamSlots slots() {
    return slots;
  }

  /// What the background task does next, which then is under way, or null.
  @Nullable SpillWork nextWork() {
    MemorySegment untouched = slots.nextUntouched();
    return untouched == null ? ledger.next() : new SpillWork.Touch(untouched);
  }

  /// So many slots for a new caller, who must not overtake those that wait. None if there are not
  /// so many at once: then `done` is told of those that there are, and later of the others.
  List<RamSlot> takeSlotsOrWait(int count, SlotCompletion done) {
    List<RamSlot> taken = takeSlots(count);
    int missing = count - taken.size();
    if (missing == 0) {
      return taken;
    }
    if (!taken.isEmpty()) {
      deliveries.add(() -> done.acquired(taken));
    }
    waiters.add(missing, done);
    slotWaitsTotal += isStuck() ? 0 : 1;
    failStuckWaiters();
    return List.of();
  }

  private List<RamSlot> takeSlots(int countMax) {
    List<RamSlot> taken = new ArrayList<>(countMax);
    try {
      Slot slot = takeSlot();
      while (slot != null) {
        taken.add(slot);
        slot = taken.size() < countMax ? takeSlot() : null;
      }
    } catch (OutOfMemoryError none) {
      taken.forEach(this::abandon);
      throw none;
    }
    return taken;
  }

  private @Nullable Slot takeSlot() {
    if (!waiters.isEmpty()) {
      return null;
    }
    Slot slot = slots.take();
    while (slot == null && !spares.isEmpty()) {
      dropSpare(spares.getFirst());
      slot = slots.take();
    }
    return slot;
  }

  /// A slot for a spare copy, or null: a free one, or that of a spare copy that has been read.
  @Nullable Slot takeSpareSlot() {
    if (!waiters.isEmpty()) {
      return null;
    }
    Slot slot = slots.take();
    if (slot == null && !spares.isEmpty() && spares.getFirst().used) {
      dropSpare(spares.getFirst());
      slot = slots.take();
    }
    if (slot != null) {
      slot.forSpare = true;
      owedCount++;
    }
    return slot;
  }

  boolean hasWaiters() {
    return !waiters.isEmpty();
  }

  /// No slot will go free by itself.
  private boolean isStuck() {
    return owedCount == 0 && ledger.isStuck();
  }

  void failStuckWaiters() {
    if (!waiters.isEmpty() && isStuck()) {
      failWaiters(new StoreFullException(ledger.stuckText()));
    }
  }

  void failWaiters(IOException error) {
    waiters.fail(error);
  }

  RamCopy commit(RamSlot given) {
    Slot slot = (Slot) given;
    slot.move(Slot.Use.FILLING, Slot.Use.HELD);
    RamCopy copy = new RamCopy(numbers.take(), slot);
    copies.put(copy.entry, copy);
    entryCount++;
    committedTotal++;
    return copy;
  }

  void abandon(RamSlot given) {
    Slot slot = (Slot) given;
    endFilling(slot);
    freeSlot(slot, Slot.Use.FILLING);
  }

  int commitSpare(RamSlot given, IntConsumer whenDropped) {
    int entry = numbers.take();
    RamCopy copy = spareCopy(entry, (Slot) given, RamCopy.State.SPARE);
    copy.whenDropped = whenDropped;
    if (!waiters.isEmpty()) {
      dropSpare(copy);
    }
    return entry;
  }

  /// The slot has been filled with the bytes of a pinned entry of the disk tier.
  void restored(int entry, RamSlot given) {
    Pin pin = pins.get(entry);
    if (copies.containsKey(entry) || pin == null || pin.released || !waiters.isEmpty()) {
      abandon(given);
    } else {
      spareCopy(entry, (Slot) given, RamCopy.State.CACHED).hasDiskSlot = true;
    }
  }

  private RamCopy spareCopy(int entry, Slot slot, RamCopy.State state) {
    endFilling(slot);
    slot.move(Slot.Use.FILLING, Slot.Use.HELD);
    RamCopy copy = new RamCopy(entry, slot);
    copy.state = state;
    copies.put(entry, copy);
    spares.addLast(copy);
    return copy;
  }

  private void endFilling(Slot slot) {
    if (slot.forSpare) {
      slot.forSpare = false;
      owedCount--;
    }
  }

  /// @return whether the spare entry is there still and pinned now
  boolean pinSpare(int entry) {
    RamCopy copy = copies.get(entry);
    if (copy == null || copy.dropped) {
      return false;
    }
    pin(entry);
    return true;
  }

  /// @return whether the spare entry is there still and kept now
  boolean keep(int entry) {
    RamCopy copy = copies.get(entry);
    if (copy == null || copy.dropped) {
      return false;
    }
    if (copy.state != RamCopy.State.SPARE) {
      throw new IllegalStateException("entry: " + entry + " (expected: spare)");
    }
    spares.remove(copy);
    copy.state = RamCopy.State.RESIDENT;
    entryCount++;
    committedTotal++;
    return true;
  }

  /// The entry's copy if the policy is to know it, or null.
  @Nullable RamCopy resident(int entry) {
    RamCopy copy = copies.get(entry);
    return copy == null || copy.released || copy.state != RamCopy.State.RESIDENT ? null : copy;
  }

  private void dropSpare(RamCopy copy) {
    spares.remove(copy);
    if (pins.containsKey(copy.entry)) {
      copy.dropped = true;
      owe(copy);
    } else {
      forgetSpare(copy);
    }
  }

  private void forgetSpare(RamCopy copy) {
    if (copy.state == RamCopy.State.SPARE) {
      droppedEntries.add(copy.entry);
      deliveries.add(() -> copy.whenDropped.accept(copy.entry));
    }
    forget(copy);
  }

  void pin(int entry) {
    assert !numbers.isFree(entry) : entry;
    pins.computeIfAbsent(entry, key -> new Pin()).count++;
  }

  void unpin(int entry) {
    Pin pin = pins.get(entry);
    if (pin == null) {
      throw new IllegalStateException("entry: " + entry + " (expected: pinned)");
    }
    if (--pin.count > 0) {
      return;
    }
    pins.remove(entry);
    RamCopy copy = copies.get(entry);
    if (pin.released) {
      drop(entry, copy);
    } else if (copy != null && copy.state == RamCopy.State.WRITTEN) {
      forget(copy);
    } else if (copy != null && copy.dropped) {
      forgetSpare(copy);
    }
  }

  /// The entry's bytes in RAM, which the entry's pin protects, or null if they are on disk.
  ///
  /// @throws IllegalStateException if the entry is not pinned
  @Nullable RamCopy pinnedCopy(int entry) {
    if (!pins.containsKey(entry)) {
      throw new IllegalStateException("entry: " + entry + " (expected: pinned)");
    }
    RamCopy copy = copies.get(entry);
    if (copy != null && copy.isSpare() && !copy.dropped) {
      copy.used = true;
      spares.addFirst(copy); // who has read it hardly reads it again
    }
    return copy;
  }

  int checksum(int entry) {
    return checksums.get(entry);
  }

  Tier tierOf(int entry) {
    RamCopy copy = copies.get(entry);
    if (copy == null) {
      return Tier.DISK;
    }
    return copy.isSpilling() ? Tier.SPILLING : Tier.RAM;
  }

  /// @return the copy that the policy need not know any more
  @Nullable RamCopy release(int entry) {
    assert !numbers.isFree(entry) : entry;
    RamCopy copy = copies.get(entry);
    boolean spareEntry =
        copy == null ? droppedEntries.contains(entry) : copy.state == RamCopy.State.SPARE;
    if (!spareEntry) {
      entryCount--;
      releasedTotal++;
    }
    Pin pin = pins.get(entry);
    if (pin == null) {
      drop(entry, copy);
    } else {
      pin.released = true;
      if (copy != null) {
        copy.released = true;
        spares.remove(copy);
        ledger.dequeue(copy);
        owe(copy);
      }
    }
    return copy;
  }

  /// @return whether the copy is on its way to disk now; a stale one is not
  boolean evict(RamCopy copy) {
    if (copies.get(copy.entry) != copy || copy.state != RamCopy.State.RESIDENT || copy.released) {
      return false;
    }
    ledger.enqueue(copy);
    spillingCount++;
    return true;
  }

  void wrote(RamCopy copy, int checksum) {
    ledger.wrote(copy);
    checksums.set(copy.entry, checksum);
    spilledTotal++;
    if (pins.containsKey(copy.entry)) {
      owe(copy);
    } else if (copy.released) {
      drop(copy.entry, copy);
    } else {
      forget(copy);
    }
  }

  void writeFailed(RamCopy copy, IOException error) {
    ledger.writeFailed(copy, error);
    if (copy.released) {
      ledger.dequeue(copy);
      if (!pins.containsKey(copy.entry)) {
        drop(copy.entry, copy);
      }
    }
  }

  /// Gives the tiers other sizes. RAM that is in use and too much is given up as it comes free and
  /// nobody waits for it.
  ///
  /// @throws IOException if what is held does not fit, and nothing has changed then
  void resize(StoreConfig next) throws IOException {
    ledger.requireFit(next);
    if (entryCount > next.ramSlotCount() + next.scratchSlotCount()) {
      throw new IOException(StoreTexts.tooSmall(entryCount * next.clusterBytes(), next));
    }
    ledger.resize(next);
    config = next;
    slots.resize(next.ramSlotCount());
    while (slots.usedCount() > slots.slotCountMax() && !spares.isEmpty()) {
      dropSpare(spares.getFirst());
    }
  }

  /// To be called when slots may have gone free, once for all of them: who waits gets his together.
  void settle() {
    waiters.serve(slots);
    giveUpSurplus();
    failStuckWaiters();
  }

  private void giveUpSurplus() {
    for (Slot slot = slots.takeSurplus(); slot != null; slot = slots.takeSurplus()) {
      Slot surplus = slot;
      deliveries.add(
          () -> {
            // Without the lock: nobody else has the slot. One that shares its page stays in memory.
            boolean _ = AnonymousMemory.giveBack(surplus.buffer());
            slots.rest(surplus);
          });
    }
  }

  /// How much of what can be taken is taken by entries, in thousandths.
  int filledPermille() {
    return (int) Math.min(1000, entryCount * 1000 / capacity());
  }

  private long capacity() {
    return slots.slotCountMax() + ledger.slotCountPossible();
  }

  StoreStatistics statistics() {
    long unit = config.clusterBytes();
    return new StoreStatistics(
        slots.usedCount() * unit,
        config.ramSlotCount() * unit,
        spillingCount * unit,
        spares.size() * unit,
        ledger.slotCount() * unit,
        config.scratchSlotCount() * unit,
        entryCount,
        committedTotal * unit,
        spilledTotal * unit,
        releasedTotal * unit,
        slotWaitsTotal,
        entryCount * unit,
        capacity() * unit,
        ledger.problem());
  }

  void close() {
    slots.close();
  }

  /// The entry is released and nobody has it pinned.
  private void drop(int entry, @Nullable RamCopy copy) {
    if (copy == null) {
      if (droppedEntries.remove(entry)) {
        numbers.giveBack(entry, 1);
      } else {
        ledger.giveUp(entry);
      }
      return;
    }
    copy.released = true;
    spares.remove(copy);
    if (copy.state == RamCopy.State.WRITING) {
      return; // The end of the write drops it.
    }
    ledger.dequeue(copy);
    forget(copy);
    if (copy.hasDiskSlot) {
      ledger.giveUp(entry);
    } else {
      numbers.giveBack(entry, 1);
    }
  }

  /// The entry is not in RAM any more.
  private void forget(RamCopy copy) {
    copies.remove(copy.entry);
    if (copy.owed) {
      owedCount--;
    }
    if (copy.isSpilling()) {
      spillingCount--;
    }
    freeSlot(copy.slot, Slot.Use.HELD);
  }

  private void owe(RamCopy copy) {
    if (!copy.owed) {
      copy.owed = true;
      owedCount++;
    }
  }

  /// The slot is for who waits longest, which [#settle] sees to, else free.
  private void freeSlot(Slot slot, Slot.Use from) {
    slots.giveBack(slot, from);
    if (waiters.isEmpty()) {
      giveUpSurplus(); // before it is taken again for the one that a spare copy was dropped for
    }
  }

  /// The pins of one entry.
  private static final class Pin {
    int count;
    boolean released;
  }
}
