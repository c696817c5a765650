// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/// A disk as bytes and sets: what the guest wrote and what every bitmap and checkpoint must hold.
final class ModelDisk {
  final String name;
  final byte[] content;
  final Map<String, ModelBitmap> bitmaps = new LinkedHashMap<>();

  ModelDisk(String name, int sizeBytes) {
    this.name = name;
    content = new byte[sizeBytes];
  }

  ModelDisk copy() {
    ModelDisk copy = new ModelDisk(name, content.length);
    System.arraycopy(content, 0, copy.content, 0, content.length);
    bitmaps.values().forEach(bitmap -> copy.bitmaps.put(bitmap.name, bitmap.copy()));
    return copy;
  }

  ModelBitmap bitmap(String bitmapName) {
    ModelBitmap bitmap = bitmaps.get(bitmapName);
    if (bitmap == null) {
      throw new IllegalStateException("no bitmap " + bitmapName + " in " + this);
    }
    return bitmap;
  }

  List<ModelBitmap> select(Predicate<ModelBitmap> wanted) {
    return new ArrayList<>(bitmaps.values().stream().filter(wanted).toList());
  }

  /// The guest changed this, and was told so.
  void changed(Change change) {
    Arrays.fill(
        content, change.offsetBytes(), change.endBytes(), change.kind().valueAfter(change.value()));
    for (ModelBitmap bitmap : select(b -> b.recording)) {
      bitmap.dirty.or(bitmap.granules(change.offsetBytes(), change.lengthBytes()));
    }
  }

  /// The guest was about to change this, or did so while something else happened to these bitmaps.
  void perhapsMarked(Change change, Predicate<ModelBitmap> which) {
    for (ModelBitmap bitmap : select(which)) {
      bitmap.maybe.or(bitmap.granules(change.offsetBytes(), change.lengthBytes()));
    }
  }

  /// The process has ended: snapshots with it, and what was not to be kept.
  void restarted() {
    bitmaps.values().removeIf(bitmap -> !bitmap.persistent || bitmap.pendingFor.isPresent());
  }

  /// One request of the guest. Trims are treated as writes of zeroes: a file has no other way.
  ///
  /// @param value the byte that is written
  record Change(Kind kind, int offsetBytes, int lengthBytes, int value) {
    int endBytes() {
      return offsetBytes + lengthBytes;
    }

    @Override
    public String toString() {
      return kind + " " + offsetBytes + "+" + lengthBytes + "=" + value;
    }
  }

  enum Kind {
    WRITE,
    ZERO,
    TRIM;

    byte valueAfter(int written) {
      return (byte) (this == WRITE ? written : 0);
    }
  }

  @Override
  public String toString() {
    return name + bitmaps.values();
  }
}
