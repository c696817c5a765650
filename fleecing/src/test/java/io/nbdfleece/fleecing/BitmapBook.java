// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// What bitmaps have to hold at least: each sector of a disk that is not as it was when they began
/// to record. That is all that a backup needs, and it is known from the disks alone. A value.
final class BitmapBook {
  private final Map<String, Map<String, Bitmap>> byDisk;

  /// A bitmap.
  ///
  /// @param held sectors that it has to hold whatever the disk holds now
  /// @param base what the disk held when it began to record; empty when it does not
  record Bitmap(boolean persistent, BitSet held, Optional<Content> base) {

    boolean recording() {
      return base.isPresent();
    }

    /// The sectors that it has to hold when the disk holds this.
    BitSet required(byte[] content) {
      BitSet required = (BitSet) held.clone();
      base.ifPresent(since -> required.or(differing(since.bytes, content)));
      return required;
    }
  }

  /// What a disk held. Not to be changed.
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Content(byte[] bytes) {}

  /// Without any.
  BitmapBook() {
    this(new TreeMap<>());
  }

  private BitmapBook(Map<String, Map<String, Bitmap>> byDisk) {
    this.byDisk = byDisk;
  }

  /// The sectors in which these differ.
  static BitSet differing(byte[] one, byte[] other) {
    BitSet sectors = new BitSet();
    int from = 0;
    while (from < one.length) {
      int at = Arrays.mismatch(one, from, one.length, other, from, other.length);
      if (at < 0) {
        break;
      }
      int sector = (from + at) / SimulatedMachine.SECTOR_BYTES;
      sectors.set(sector);
      from = (sector + 1) * SimulatedMachine.SECTOR_BYTES;
    }
    return sectors;
  }

  /// The first sector that is required and not dirty; -1 when there is none.
  static int missing(BitSet required, GranuleSet dirty) {
    int sector = required.nextSetBit(0);
    while (sector >= 0 && dirty.isDirty((long) sector * SimulatedMachine.SECTOR_BYTES)) {
      sector = required.nextSetBit(sector + 1);
    }
    return sector;
  }

  /// The bitmaps of a disk, by name.
  Map<String, Bitmap> of(String disk) {
    return byDisk.getOrDefault(disk, Map.of());
  }

  Optional<Bitmap> find(BitmapRef ref) {
    return Optional.ofNullable(of(ref.owner()).get(ref.name()));
  }

  private BitmapBook copy() {
    Map<String, Map<String, Bitmap>> all = new TreeMap<>();
    byDisk.forEach((disk, bitmaps) -> all.put(disk, new LinkedHashMap<>(bitmaps)));
    return new BitmapBook(all);
  }

  /// Without those that end with the process.
  BitmapBook persistent() {
    BitmapBook kept = copy();
    kept.byDisk.values().forEach(bitmaps -> bitmaps.values().removeIf(each -> !each.persistent));
    return kept;
  }

  /// The same of one disk.
  BitmapBook persistent(String disk) {
    BitmapBook kept = copy();
    kept.byDisk
        .getOrDefault(disk, new LinkedHashMap<>())
        .values()
        .removeIf(each -> !each.persistent);
    return kept;
  }

  /// Without that one.
  BitmapBook without(String disk, String name) {
    BitmapBook rest = copy();
    rest.byDisk.getOrDefault(disk, new LinkedHashMap<>()).remove(name);
    return rest;
  }

  /// What a transaction makes of it.
  ///
  /// @param at what the disks held at its instant
  /// @throws AssertionError when it cannot have succeeded
  BitmapBook after(List<TransactionAction> actions, Map<String, byte[]> at) {
    BitmapBook next = copy();
    for (TransactionAction action : actions) {
      next.change(action, at);
    }
    return next;
  }

  private void change(TransactionAction action, Map<String, byte[]> at) {
    switch (action) {
      case TransactionAction.AddBitmap add -> {
        if (find(add.bitmap()).isPresent()) {
          throw new AssertionError("added twice: " + add.bitmap());
        }
        put(
            add.bitmap(),
            new Bitmap(
                add.persistent(),
                new BitSet(),
                add.disabled() ? Optional.empty() : content(add.bitmap(), at)));
      }
      case TransactionAction.RemoveBitmap(BitmapRef bitmap) -> {
        Bitmap _ = require(bitmap);
        byDisk.getOrDefault(bitmap.owner(), new LinkedHashMap<>()).remove(bitmap.name());
      }
      case TransactionAction.ClearBitmap(BitmapRef ref) -> {
        Bitmap old = require(ref);
        put(ref, new Bitmap(old.persistent, new BitSet(), old.base.flatMap(_ -> content(ref, at))));
      }
      case TransactionAction.EnableBitmap(BitmapRef ref) -> {
        Bitmap old = require(ref);
        if (!old.recording()) {
          put(ref, new Bitmap(old.persistent, old.held, content(ref, at)));
        }
      }
      case TransactionAction.DisableBitmap(BitmapRef ref) -> {
        Bitmap old = require(ref);
        put(ref, new Bitmap(old.persistent, requiredAt(ref, at), Optional.empty()));
      }
      case TransactionAction.MergeBitmaps(BitmapRef target, List<BitmapRef> sources) -> {
        Bitmap old = require(target);
        BitSet held = (BitSet) old.held.clone();
        sources.forEach(source -> held.or(requiredAt(source, at)));
        put(target, new Bitmap(old.persistent, held, old.base));
      }
      case TransactionAction.MarkDirty mark -> {
        Bitmap old = require(mark.bitmap());
        BitSet held = (BitSet) old.held.clone();
        for (TransactionAction.Range range : mark.ranges()) {
          long last = range.offsetBytes() + range.lengthBytes() - 1;
          held.set(
              (int) (range.offsetBytes() / SimulatedMachine.SECTOR_BYTES),
              (int) (last / SimulatedMachine.SECTOR_BYTES) + 1);
        }
        put(mark.bitmap(), new Bitmap(old.persistent, held, old.base));
      }
      case TransactionAction.DeleteCheckpoint _, TransactionAction.TakeSnapshot _ -> {
        // no bitmap of ours
      }
      case TransactionAction.Abort() -> throw new AssertionError("not aborted");
    }
  }

  private BitSet requiredAt(BitmapRef ref, Map<String, byte[]> at) {
    return require(ref).required(content(ref, at).orElseThrow().bytes);
  }

  private static Optional<Content> content(BitmapRef ref, Map<String, byte[]> at) {
    byte[] bytes = at.get(ref.owner());
    if (bytes == null) {
      throw new AssertionError("carried out without a look at the clock: " + ref);
    }
    return Optional.of(new Content(bytes));
  }

  private Bitmap require(BitmapRef ref) {
    return find(ref)
        .orElseThrow(() -> new AssertionError("a command succeeded on what is not there: " + ref));
  }

  private void put(BitmapRef ref, Bitmap bitmap) {
    byDisk.computeIfAbsent(ref.owner(), _ -> new LinkedHashMap<>()).put(ref.name(), bitmap);
  }
}
