// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.util.BitSet;
import java.util.Optional;

/// What a bitmap or a checkpoint must hold. A checkpoint is modelled as a bitmap that records from
/// its freeze on, whatever becomes of its neighbours.
final class ModelBitmap {
  final String name;
  final int granularityBytes;
  final boolean persistent;

  /// The disk as it was at the checkpoint; absent for a bitmap.
  final Optional<byte[]> base;

  boolean recording;

  /// The snapshot that a checkpoint waits for.
  Optional<String> pendingFor = Optional.empty();

  /// Granules that are dirty for certain.
  final BitSet dirty = new BitSet();

  /// Granules that may be dirty, besides: touched by what was in flight at a crash or a freeze.
  final BitSet maybe = new BitSet();

  ModelBitmap(
      String name,
      int granularityBytes,
      boolean persistent,
      boolean recording,
      Optional<byte[]> base) {
    this.name = name;
    this.granularityBytes = granularityBytes;
    this.persistent = persistent;
    this.recording = recording;
    this.base = base;
  }

  ModelBitmap copy() {
    ModelBitmap copy = new ModelBitmap(name, granularityBytes, persistent, recording, base);
    copy.pendingFor = pendingFor;
    copy.dirty.or(dirty);
    copy.maybe.or(maybe);
    return copy;
  }

  boolean isCheckpoint() {
    return base.isPresent();
  }

  /// The granules that the range touches.
  BitSet granules(int offsetBytes, int lengthBytes) {
    BitSet touched = new BitSet();
    touched.set(
        offsetBytes / granularityBytes, (offsetBytes + lengthBytes - 1) / granularityBytes + 1);
    return touched;
  }

  /// Adds what is dirty in another one, of any granularity.
  void merge(ModelBitmap source, int diskBytes) {
    widen(source.dirty, source.granularityBytes, dirty, diskBytes);
    widen(source.maybe, source.granularityBytes, maybe, diskBytes);
  }

  private void widen(BitSet from, int fromBytes, BitSet to, int diskBytes) {
    for (int i = from.nextSetBit(0); i >= 0; i = from.nextSetBit(i + 1)) {
      int offsetBytes = i * fromBytes;
      to.or(granules(offsetBytes, Math.min(fromBytes, diskBytes - offsetBytes)));
    }
  }

  /// What is wrong with what was found; empty when nothing is. From then on the model holds what
  /// was found.
  Optional<String> settle(BitSet found) {
    BitSet missing = (BitSet) dirty.clone();
    missing.andNot(found);
    BitSet tooMany = (BitSet) found.clone();
    tooMany.andNot(dirty);
    tooMany.andNot(maybe);
    if (!missing.isEmpty() || !tooMany.isEmpty()) {
      return Optional.of(
          name
              + " (granules of "
              + granularityBytes
              + "): written but not marked "
              + missing
              + ", marked but not written "
              + tooMany);
    }
    dirty.or(found);
    maybe.clear();
    return Optional.empty();
  }

  @Override
  public String toString() {
    return name + (recording ? "" : " off") + " " + dirty + (maybe.isEmpty() ? "" : "?" + maybe);
  }
}
