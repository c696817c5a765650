// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.fleecing.bitmap.DurableMarks;
import io.nbdfleece.fleecing.bitmap.HeapBitArray;
import io.nbdfleece.fleecing.bitmap.TrackingNode;
import io.nbdfleece.fleecing.hook.SimulatedDisk;
import io.nbdfleece.fleecing.hook.SimulatedWorld;
import java.util.Arrays;
import java.util.List;
import org.roaringbitmap.RoaringBitmap;

/// A bitmap of a disk, and whether it tells of everything that has changed since it began.
final class DirtyWatch {
  private final SimulatedDisk disk;
  private final TrackingNode tracked;
  private byte[] before;
  private HeapBitArray marks;

  DirtyWatch(SimulatedDisk disk, TrackingNode tracked) {
    this.disk = disk;
    this.tracked = tracked;
    this.before = disk.content.clone();
    this.marks = new HeapBitArray(disk.sizeBytes(), 512);
    track(false);
  }

  private void track(boolean skipUnchanged) {
    tracked.track(new TrackingNode.Tracks(List.of(marks), DurableMarks.NONE, skipUnchanged));
  }

  /// Looks, and begins again. Only while the disk is drained.
  void renew(SimulatedWorld world) {
    check();
    before = disk.content.clone();
    marks = new HeapBitArray(disk.sizeBytes(), 512 << world.random.nextInt(8));
    track(world.chance(0.3));
  }

  void check() {
    int granuleBytes = marks.granularityBytes();
    RoaringBitmap dirty = marks.toSet().granules();
    for (int at = 0; at < before.length; at += granuleBytes) {
      int end = Math.min(before.length, at + granuleBytes);
      if (!dirty.contains(at / granuleBytes)) {
        assertEquals(
            -1,
            Arrays.mismatch(before, at, end, disk.content, at, end),
            "a change that is not marked, granule at " + at);
      }
    }
  }
}
