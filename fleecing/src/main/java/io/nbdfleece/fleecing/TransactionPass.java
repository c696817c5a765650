// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

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
  private final Map<ServedDisk, BitmapBench> benches;
  private final Map<ServedDisk, DiskBitmaps> working = new LinkedHashMap<>();
  private final Map<ServedDisk, GranuleSet> dirty = new HashMap<>();

  TransactionPass(Map<ServedDisk, BitmapBench> benches) {
    this.benches = benches;
    benches.keySet().forEach(disk -> working.put(disk, disk.tracking().current()));
  }

  DiskBitmaps bitmaps(ServedDisk disk) {
    return Optional.ofNullable(working.get(disk)).orElseThrow();
  }

  BitmapWork work(ServedDisk disk) {
    return Optional.ofNullable(benches.get(disk)).orElseThrow();
  }

  void replace(ServedDisk disk, DiskBitmaps next) {
    working.put(disk, next);
  }

  /// What the snapshot of that disk is about.
  void wanted(ServedDisk disk, GranuleSet set) {
    dirty.put(disk, set);
  }

  Optional<GranuleSet> wanted(ServedDisk disk) {
    return Optional.ofNullable(dirty.get(disk));
  }

  /// The configurations as the steps left them.
  Map<ServedDisk, DiskBitmaps> outcome() {
    return working;
  }
}
