// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.integration.ModelDisk.Change;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// Compares a server with the model: names, marks, bytes, and that each checkpoint's marks lead
/// from its base to the disk as it is.
final class CrashCheck {
  private CrashCheck() {}

  /// Which of the possible models it is; fails unless all that it says holds.
  ///
  /// @param lost the guest's requests that were not answered, by disk
  static Map<String, ModelDisk> settle(
      ModelServer server, List<Map<String, ModelDisk>> possible, Map<String, List<Change>> lost)
      throws IOException {
    List<String> complaints = new ArrayList<>();
    Map<String, Map<String, BitSet>> found = new LinkedHashMap<>();
    for (Map<String, ModelDisk> disks : possible) {
      Optional<String> wrong = readAll(server, disks, found);
      if (wrong.isEmpty()) {
        wrong = settleBitmaps(disks, found);
      }
      if (wrong.isEmpty()) {
        for (ModelDisk disk : disks.values()) {
          settleContent(server, disk, lost.getOrDefault(disk.name, List.of()));
        }
        return disks;
      }
      complaints.add(wrong.get());
    }
    throw new AssertionError(String.join("\nor ", complaints));
  }

  private static Optional<String> readAll(
      ModelServer server, Map<String, ModelDisk> disks, Map<String, Map<String, BitSet>> found)
      throws IOException {
    for (ModelDisk disk : disks.values()) {
      Map<String, String> listed = new LinkedHashMap<>();
      for (JsonNode bitmap : server.bitmaps(disk.name)) {
        String name = bitmap.path("name").asString();
        ModelBitmap known = disk.bitmaps.get(name);
        // A checkpoint that is not the last one does not record itself.
        boolean records =
            (known == null || !known.isCheckpoint()) && bitmap.path("recording").asBoolean();
        listed.put(name, bitmap.path("granularity").asInt() + " " + records);
        assertTrue(!bitmap.path("inconsistent").asBoolean(false), bitmap::toString);
      }
      Map<String, String> expected = new LinkedHashMap<>();
      disk.bitmaps.forEach(
          (name, bitmap) ->
              expected.put(
                  name,
                  bitmap.granularityBytes + " " + (bitmap.recording && !bitmap.isCheckpoint())));
      if (!listed.equals(expected)) {
        return Optional.of(disk.name + ": has " + listed + ", not " + expected);
      }
      Map<String, BitSet> sets = found.computeIfAbsent(disk.name, _ -> new LinkedHashMap<>());
      for (ModelBitmap bitmap : disk.bitmaps.values()) {
        if (bitmap.pendingFor.isEmpty() && !sets.containsKey(bitmap.name)) {
          sets.put(bitmap.name, server.dirty(disk.name, bitmap));
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<String> settleBitmaps(
      Map<String, ModelDisk> disks, Map<String, Map<String, BitSet>> found) {
    for (ModelDisk disk : disks.values()) {
      for (ModelBitmap bitmap : disk.select(b -> b.pendingFor.isEmpty())) {
        BitSet set = Optional.ofNullable(found.get(disk.name)).orElseThrow().get(bitmap.name);
        Optional<String> wrong = bitmap.settle(Optional.ofNullable(set).orElseThrow());
        if (wrong.isPresent()) {
          return wrong.map(text -> disk.name + ": " + text);
        }
      }
    }
    return Optional.empty();
  }

  // A request that was lost in a crash may have happened, byte by byte.
  private static void settleContent(ModelServer server, ModelDisk disk, List<Change> lost)
      throws IOException {
    byte[] found = Images.read(server.guest(disk.name), 0, CrashRun.DISK_BYTES);
    for (Change change : lost) {
      take(disk.content, found, change);
    }
    assertArrayEquals(disk.content, found, disk.name);
    for (ModelBitmap checkpoint : disk.select(b -> b.base.isPresent() && b.pendingFor.isEmpty())) {
      assertLeadsFrom(checkpoint, checkpoint.dirty, found);
    }
  }

  /// The bytes that are found, where they are either as before or as the change makes them.
  static void take(byte[] before, byte[] found, Change change) {
    byte after = change.kind().valueAfter(change.value());
    for (int i = change.offsetBytes(); i < change.endBytes(); i++) {
      if (found[i] == after) {
        before[i] = after;
      }
    }
  }

  /// Outside of the dirty granules the bytes are those of the base.
  static void assertLeadsFrom(ModelBitmap checkpoint, BitSet dirty, byte[] frozen) {
    byte[] applied = checkpoint.base.orElseThrow().clone();
    for (int i = dirty.nextSetBit(0); i >= 0; i = dirty.nextSetBit(i + 1)) {
      int offset = i * checkpoint.granularityBytes;
      int length = Math.min(checkpoint.granularityBytes, CrashRun.DISK_BYTES - offset);
      System.arraycopy(frozen, offset, applied, offset, length);
    }
    assertArrayEquals(frozen, applied, () -> "incremental since " + checkpoint + " onto its base");
  }
}
