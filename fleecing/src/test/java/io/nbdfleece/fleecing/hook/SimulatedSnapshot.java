// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.BlockExtent;
import java.io.IOException;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.roaringbitmap.RoaringBitmap;

/// A view in a simulation, what it must show, and what its client has given up.
public final class SimulatedSnapshot {
  public final SnapshotView view;

  /// The disk at the freeze.
  public final byte[] truth;

  /// What readers of the view must see: zeroes outside.
  public final byte[] shown;

  public boolean released;

  /// Offsets of the clusters that were told to be lost.
  private final Set<Long> lostOffsets;

  private final SnapshotScope scope;
  private final int clusterBytes;
  private final BitSet releasedBytes = new BitSet();
  private final BitSet outsideBytes = new BitSet();

  public SimulatedSnapshot(
      SnapshotView view,
      byte[] truth,
      SnapshotScope scope,
      int clusterBytes,
      Set<Long> lostOffsets) {
    this.lostOffsets = lostOffsets;
    this.view = view;
    this.truth = truth;
    this.scope = scope;
    this.clusterBytes = clusterBytes;
    this.shown = truth.clone();
    if (scope.dirty().isPresent() && scope.outside() != Outside.DATA) {
      GranuleSet dirty = scope.dirty().get();
      for (int at = 0; at < truth.length; at += clusterBytes) {
        int end = Math.min(truth.length, at + clusterBytes);
        if (!touches(dirty, at, end)) {
          outsideBytes.set(at, end);
          Arrays.fill(shown, at, end, (byte) 0);
        }
      }
    }
  }

  private static boolean touches(GranuleSet dirty, int from, int to) {
    for (int at = from; at < to; at++) {
      if (dirty.granules().contains(at / dirty.granularityBytes())) {
        return true;
      }
    }
    return false;
  }

  /// Smaller and larger granules than clusters, few and many, and each way of looking outside.
  static SnapshotScope randomScope(Random random, int sizeBytes) {
    int granularityBytes = 512 << random.nextInt(8);
    RoaringBitmap granules = new RoaringBitmap();
    double share = random.nextDouble();
    for (int granule = 0; granule * granularityBytes < sizeBytes; granule++) {
      if (random.nextDouble() < share) {
        granules.add(granule);
      }
    }
    Outside[] all = Outside.values();
    return new SnapshotScope(
        Optional.of(GranuleSet.of(sizeBytes, granularityBytes, granules)),
        all[random.nextInt(all.length)]);
  }

  public Access access() {
    return view.terms().access();
  }

  Outside outside() {
    return scope.outside();
  }

  public void release(int from, int lengthBytes) {
    releasedBytes.set(from, from + lengthBytes);
  }

  /// Whether a cluster of the range, not outside, has been given up as a whole.
  public boolean anyReleased(int from, int lengthBytes) {
    for (int at = from / clusterBytes * clusterBytes; at < from + lengthBytes; at += clusterBytes) {
      int end = Math.min(truth.length, at + clusterBytes);
      if (!outsideBytes.get(at) && releasedBytes.nextClearBit(at) >= end) {
        return true;
      }
    }
    return false;
  }

  /// Whether a cluster of the range was told to be lost.
  public boolean anyLost(int from, int lengthBytes) {
    for (int at = from / clusterBytes * clusterBytes; at < from + lengthBytes; at += clusterBytes) {
      if (lostOffsets.contains((long) at)) {
        return true;
      }
    }
    return false;
  }

  /// What is told to be lost, less what was released, is what the status says.
  void checkLost() {
    SnapshotView.ViewStatistics held = view.statistics();
    long lost =
        view.brokenBecause().isPresent()
            ? 0
            : lostOffsets.stream().filter(at -> !anyReleased(at.intValue(), 1)).count();
    assertEquals(lost * clusterBytes, held.lostBytes(), "lost");
    long ranges = 0;
    for (SnapshotView.LostRange range : held.lostRanges()) {
      for (long at = range.offsetBytes();
          at < range.offsetBytes() + range.lengthBytes();
          at += clusterBytes) {
        assertTrue(lostOffsets.contains(at), "lost and not told");
        ranges++;
      }
    }
    assertEquals(lost, ranges, "ranges of what is lost");
  }

  boolean anyOutside(int from, int lengthBytes) {
    int next = outsideBytes.nextSetBit(from);
    return next >= 0 && next < from + lengthBytes;
  }

  /// Holes are where nothing is, and outside is all hole or all data. Returns the end.
  public long check(int from, List<BlockExtent> extents) {
    int at = from;
    for (BlockExtent extent : extents) {
      for (int end = at + (int) extent.lengthBytes(); at < end; at++) {
        if (outsideBytes.get(at)) {
          assertEquals(
              outside() == Outside.ZERO ? BlockExtent.State.HOLE : BlockExtent.State.DATA,
              extent.state(),
              "outside");
        } else if (extent.state() != BlockExtent.State.DATA) {
          assertEquals(0, truth[at], "a hole is reported where data is");
        }
      }
    }
    return at;
  }

  void checkSources(int from, int lengthBytes, int extentsMax) {
    List<FrozenExtent> extents;
    try {
      extents = view.sources(from, lengthBytes, extentsMax);
    } catch (IOException e) {
      assertTrue(e instanceof SnapshotEndedException, () -> "sources failed: " + e);
      return;
    }
    assertFalse(extents.isEmpty() || extents.size() > extentsMax, "as many as asked for");
    int at = from;
    for (FrozenExtent extent : extents) {
      for (int end = at + (int) extent.lengthBytes(); at < end; at++) {
        assertEquals(
            outsideBytes.get(at), extent.source() == FrozenExtent.Source.OUTSIDE, "outside");
        if (extent.source() == FrozenExtent.Source.ZERO) {
          assertEquals(0, truth[at], "zero where data is");
        }
      }
    }
    assertTrue(at <= from + lengthBytes, "more than asked");
    assertTrue(
        view.statistics().releasedBytes()
            <= truth.length + clusterBytes - outsideBytes.cardinality(),
        "outside counts as released");
  }
}
