// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static io.nbdfleece.fleecing.hook.HookedDisk.CLUSTER;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.hook.FrozenExtent.Source;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.roaringbitmap.RoaringBitmap;

/// Snapshots of a part of a disk.
final class PartialSnapshotTest {

  private static GranuleSet clusters(HookedDisk disk, int... dirty) {
    return GranuleSet.of(disk.sizeBytes(), CLUSTER, RoaringBitmap.bitmapOf(dirty));
  }

  private static SnapshotView freeze(
      HookedDisk disk, Access access, Outside outside, GranuleSet dirty) {
    disk.hook.closeGate(() -> {});
    SnapshotView view =
        disk.hook.freeze(
            new SnapshotTerms("s", access, OnCbwError.BREAK_SNAPSHOT, 0),
            new SnapshotScope(Optional.of(dirty), outside));
    disk.hook.openGate();
    return view;
  }

  private static byte[] read(SnapshotView view, int cluster, int count) {
    ByteBuffer target = ByteBuffer.allocateDirect(count * CLUSTER);
    Outcome outcome = new Outcome();
    view.read((long) cluster * CLUSTER, target, outcome);
    outcome.future().join();
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = target.get(i * CLUSTER);
    }
    return bytes;
  }

  private static void overwrite(HookedDisk disk) {
    IntStream.range(0, 8).forEach(cluster -> disk.write(cluster).join());
  }

  @Test
  void onlyWhatIsInsideIsPreserved() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.READ_ONLY, Outside.ZERO, clusters(disk, 1, 2, 6));
      overwrite(disk);
      assertEquals(3, disk.hook.statistics().preserves());
      assertEquals(3L * CLUSTER, view.statistics().preservedBytes());
      assertEquals(0, view.statistics().releasedBytes());
      assertArrayEquals(new byte[] {0, 2, 3, 0, 0, 0, 7, 0}, read(view, 0, 8));
      view.release();
      assertEquals(0, disk.store.statistics().entries());
    }
  }

  @Test
  void withDataOutsideEverythingIsPreserved() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.READ_ONLY, Outside.DATA, clusters(disk, 1));
      overwrite(disk);
      assertArrayEquals(new byte[] {1, 2, 3, 4, 5, 6, 7, 8}, read(view, 0, 8));
    }
  }

  @Test
  void readingOutsideFailsAndSaysWhereWhenThatIsChosen() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.READ_ONLY, Outside.ERROR, clusters(disk, 1, 2));
      assertArrayEquals(new byte[] {2, 3}, read(view, 1, 2));
      CompletionException error = assertThrows(CompletionException.class, () -> read(view, 1, 3));
      assertEquals(
          "java.io.IOException: snapshot s: the cluster at offset 12288 has not changed:"
              + " it is outside of the bitmap, and was not kept",
          String.valueOf(error.getCause()));
    }
  }

  @ParameterizedTest
  @CsvSource({"512, 7, 0", "512, 8, 1", "512, 16, 2", "16384, 0, 0 1 2 3", "16384, 1, 4 5 6"})
  void clusterIsInsideWhenAnyDirtyGranuleTouchesIt(int granularity, int granule, String inside)
      throws Exception {
    try (HookedDisk disk = new HookedDisk(7, 16)) {
      GranuleSet dirty =
          GranuleSet.of(disk.sizeBytes(), granularity, RoaringBitmap.bitmapOf(granule));
      SnapshotView view = freeze(disk, Access.READ_ONLY, Outside.ZERO, dirty);
      List<String> kept =
          IntStream.range(0, 7)
              .filter(cluster -> read(view, cluster, 1)[0] != 0)
              .mapToObj(String::valueOf)
              .toList();
      assertEquals(List.of(inside.split(" ", -1)), kept);
    }
  }

  @Test
  void olderSnapshotOfAllSeesWhatANewerOneLeavesOut() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView all = disk.freeze(Access.READ_ONLY, 0);
      SnapshotView part = freeze(disk, Access.READ_ONLY, Outside.ZERO, clusters(disk, 3));
      overwrite(disk);
      assertArrayEquals(new byte[] {1, 2, 3, 4, 5, 6, 7, 8}, read(all, 0, 8));
      assertArrayEquals(new byte[] {0, 0, 0, 4, 0, 0, 0, 0}, read(part, 0, 8));
      assertEquals(CLUSTER, part.statistics().preservedBytes());
      all.release();
      assertEquals(1, disk.store.statistics().entries(), "what only the older one needed is gone");
      assertArrayEquals(new byte[] {0, 0, 0, 4, 0, 0, 0, 0}, read(part, 0, 8));
    }
  }

  @Test
  void prefetchingBringsInWhatIsInsideOnly() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.READ_ONLY, Outside.ERROR, clusters(disk, 2, 5));
      HookedDisk.prefetch(view, 0, 8).join();
      assertEquals(2L * CLUSTER, disk.store.statistics().spareBytes());
    }
  }

  @Test
  void discardingFreesInsideAndIsHarmlessOutside() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.DISCARD, Outside.ZERO, clusters(disk, 2, 3));
      overwrite(disk);
      Outcome discarded = new Outcome();
      view.discard(0, 3 * CLUSTER, discarded);
      discarded.future().join();
      assertEquals(1, disk.store.statistics().entries());
      assertEquals(CLUSTER, view.statistics().releasedBytes());
      assertArrayEquals(new byte[] {0, 0}, read(view, 0, 2));
      assertThrows(CompletionException.class, () -> read(view, 2, 1));
      assertArrayEquals(new byte[] {4, 0}, read(view, 3, 2));
      assertEquals(
          List.of(
              new FrozenExtent(2 * CLUSTER, Source.OUTSIDE),
              new FrozenExtent(CLUSTER, Source.RELEASED),
              new FrozenExtent(CLUSTER, Source.RAM),
              new FrozenExtent(4 * CLUSTER, Source.OUTSIDE)),
          view.sources(0, 8 * CLUSTER, 10));
    }
  }

  @Test
  void readOnceWorksInside() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.READ_ONCE, Outside.ZERO, clusters(disk, 2));
      assertArrayEquals(new byte[] {0, 0, 3, 0}, read(view, 0, 4));
      assertThrows(CompletionException.class, () -> read(view, 0, 4));
      assertArrayEquals(new byte[] {0, 0}, read(view, 0, 2));
    }
  }

  @ParameterizedTest
  @CsvSource({"ZERO, HOLE", "ERROR, DATA"})
  void outsideIsAHoleOrData(Outside outside, State expected) throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      SnapshotView view = freeze(disk, Access.READ_ONLY, outside, clusters(disk, 2, 3));
      CompletableFuture<List<BlockExtent>> found = new CompletableFuture<>();
      view.status(
          100,
          7 * CLUSTER,
          10,
          new ExtentsCompletion() {
            @Override
            public void succeeded(List<BlockExtent> extents) {
              found.complete(extents);
            }

            @Override
            public void failed(IOException error) {
              found.completeExceptionally(error);
            }
          });
      assertEquals(
          expected == State.DATA
              ? List.of(new BlockExtent(7 * CLUSTER, State.DATA))
              : List.of(
                  new BlockExtent(2 * CLUSTER - 100, State.HOLE),
                  new BlockExtent(2 * CLUSTER, State.DATA),
                  new BlockExtent(3 * CLUSTER + 100, State.HOLE)),
          found.join());
    }
  }

  @Test
  void bitmapOfAnotherSizeIsRefused() throws Exception {
    try (HookedDisk disk = new HookedDisk(8, 16)) {
      GranuleSet other = GranuleSet.empty(CLUSTER, CLUSTER);
      assertThrows(
          IllegalArgumentException.class,
          () -> freeze(disk, Access.READ_ONLY, Outside.ZERO, other));
    }
  }
}
