// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitArray;
import io.nbdfleece.fleecing.bitmap.BitmapWork;
import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// One run through the steps of a transaction, on configurations that nobody else sees yet. Each
/// step sees what those before it did.
final class TransactionPass {
  private final Map<DiskTracking, BitmapBench> benches;
  private final Map<DiskTracking, DiskBitmaps> working = new LinkedHashMap<>();
  private final Map<ServedDisk, GranuleSet> dirty = new HashMap<>();
  private final Map<ServedDisk, BitArray> sinceFreeze = new HashMap<>();

  TransactionPass(Map<DiskTracking, BitmapBench> benches) {
    this.benches = benches;
    benches.keySet().forEach(owner -> working.put(owner, owner.current()));
  }

  DiskBitmaps bitmaps(DiskTracking owner) {
    return Optional.ofNullable(working.get(owner)).orElseThrow();
  }

  BitmapWork work(DiskTracking owner) {
    return Optional.ofNullable(benches.get(owner)).orElseThrow();
  }

  void replace(DiskTracking owner, DiskBitmaps next) {
    working.put(owner, next);
  }

  /// What the snapshot of that disk is about.
  void wanted(ServedDisk disk, GranuleSet set) {
    dirty.put(disk, set);
  }

  Optional<GranuleSet> wanted(ServedDisk disk) {
    return Optional.ofNullable(dirty.get(disk));
  }

  /// What writes are to mark from the freeze of that disk on, beside its bitmaps.
  void sinceFreeze(ServedDisk disk, BitArray bits) {
    sinceFreeze.put(disk, bits);
  }

  Optional<BitArray> sinceFreeze(ServedDisk disk) {
    return Optional.ofNullable(sinceFreeze.get(disk));
  }

  /// The configurations as the steps left them.
  Map<DiskTracking, DiskBitmaps> outcome() {
    return working;
  }
}
