// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/// Extents around 2^32 and at the end of the disk (the mistakes of CVE-2025-47711 and
/// CVE-2025-47712), and of disks of many clusters.
final class StatusOfLargeDisksTest {
  private static final long FOUR_GIB = 1L << 32;

  /// One extent for everything; content is 1 in each byte.
  private record Endless(long sizeBytes) implements BlockNode {
    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      while (target.hasRemaining()) {
        target.put((byte) 1);
      }
      done.succeeded();
    }

    @Override
    public void apply(Mutation mutation, Completion done) {
      done.succeeded();
    }

    @Override
    public void flush(Completion done) {
      done.succeeded();
    }

    @Override
    public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
      done.succeeded(List.of(new BlockExtent(lengthBytes, State.HOLE)));
    }

    @Override
    public void close() {}
  }

  private static final class Silent implements HookListener {
    @Override
    public void snapshotBroken(String disk, String snapshot, String reason) {
      throw new AssertionError(reason);
    }

    @Override
    public void clusterLost(
        String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason) {
      throw new AssertionError(reason);
    }
  }

  private static List<BlockExtent> status(
      SnapshotView view, long offsetBytes, long lengthBytes, int extentsMax) {
    CompletableFuture<List<BlockExtent>> found = new CompletableFuture<>();
    view.status(
        offsetBytes,
        lengthBytes,
        extentsMax,
        new ExtentsCompletion() {
          @Override
          public void succeeded(List<BlockExtent> extents) {
            found.complete(List.copyOf(extents));
          }

          @Override
          public void failed(IOException error) {
            found.completeExceptionally(error);
          }
        });
    return found.join();
  }

  private static long covered(List<BlockExtent> extents) {
    return extents.stream().mapToLong(BlockExtent::lengthBytes).sum();
  }

  private static SnapshotView freeze(FleecingHook hook) {
    return Freeze.start(
            List.of(hook),
            new SnapshotTerms("s", Access.READ_ONLY, OnCbwError.BREAK_SNAPSHOT, 0),
            System::nanoTime)
        .frozen()
        .join()
        .views()
        .getFirst();
  }

  private static FleecingHook hook(long sizeBytes, ClusterStore store) {
    return new FleecingHook(
        "d", new Endless(sizeBytes), store, Runnable::run, System::nanoTime, new Silent());
  }

  @Test
  void extentsAreRightAroundTwoToTheThirtyTwoAndAtTheEnd() throws Exception {
    long seed = Long.getLong("test.seed", System.nanoTime());
    System.out.println("StatusOfLargeDisksTest: -Dtest.seed=" + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 300; round++) {
      long sizeBytes = 2 * FOUR_GIB + random.nextInt(-70_000, 70_000);
      try (ClusterStore store = SimulatedStores.inMemory(65_536, 16)) {
        FleecingHook hook = hook(sizeBytes, store);
        SnapshotView view = freeze(hook);
        List<Long> preserved = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          long near = random.nextBoolean() ? FOUR_GIB : sizeBytes - 1;
          long at = Math.clamp(near + random.nextInt(-200_000, 200_000), 0, sizeBytes - 1);
          long first = at & -65_536;
          hook.apply(
              new Mutation.Discard(
                  first, Math.min(65_536, sizeBytes - first), Mutation.Durability.CACHED),
              Outcome.mustSucceed());
          preserved.add(at >> 16);
        }
        long[] lengths = {1, FOUR_GIB - 1, FOUR_GIB, FOUR_GIB + 1, sizeBytes};
        long offset =
            Math.min(sizeBytes - 1, Math.max(0, random.nextInt(3) * FOUR_GIB - random.nextInt(3)));
        long length = Math.min(sizeBytes - offset, lengths[random.nextInt(lengths.length)]);
        List<BlockExtent> extents = status(view, offset, length, 1000);
        assertEquals(length, covered(extents), "a short answer without need");
        long position = offset;
        for (BlockExtent extent : extents) {
          long end = position + extent.lengthBytes();
          assertEquals(extent.state(), expected(preserved, position));
          assertEquals(extent.state(), expected(preserved, end - 1));
          assertTrue(end == offset + length || end % 65_536 == 0 || end == sizeBytes);
          position = end;
        }
        for (long cluster : preserved) {
          long first = cluster << 16;
          if (first >= offset && first < offset + length) {
            assertEquals(State.DATA, stateAt(extents, offset, first));
          }
        }
      }
    }
  }

  private static State expected(List<Long> preserved, long offsetBytes) {
    return preserved.contains(offsetBytes >> 16) ? State.DATA : State.HOLE;
  }

  private static State stateAt(List<BlockExtent> extents, long startBytes, long offsetBytes) {
    long position = startBytes;
    for (BlockExtent extent : extents) {
      position += extent.lengthBytes();
      if (offsetBytes < position) {
        return extent.state();
      }
    }
    throw new AssertionError("not covered: " + offsetBytes);
  }

  @Test
  void statusOfManyClustersIsAnsweredAtOnceAndWhole() throws Exception {
    long sizeBytes = 1L << 40;
    try (ClusterStore store = SimulatedStores.inMemory(4096, 16)) {
      SnapshotView view = freeze(hook(sizeBytes, store));
      assertEquals(List.of(new BlockExtent(sizeBytes, State.HOLE)), status(view, 0, sizeBytes, 1));
    }
  }

  @Test
  void whatIsDiscardedOfManyClustersIsReleasedUpToTheLastWholeOne() throws Exception {
    int cluster = 4096;
    long end = 200_000L * cluster; // more than are released in one go
    try (ClusterStore store = SimulatedStores.inMemory(cluster, 16)) {
      SnapshotView view = freeze(hook(1L << 40, store));
      view.discard(1, end, Outcome.mustSucceed());
      assertEquals(end - cluster, view.statistics().releasedBytes());
      view.discard(0, 1, Outcome.mustSucceed());
      assertEquals(end, view.statistics().releasedBytes());
      view.discard(end + 1, cluster - 1, Outcome.mustSucceed());
      assertEquals(end + cluster, view.statistics().releasedBytes());
    }
  }

  @Test
  void zeroingOfManyClustersIsPreservedWhereItMustBe() throws Exception {
    try (ClusterStore store = SimulatedStores.inMemory(65_536, 2048)) {
      FleecingHook hook = hook(64L << 20, store);
      SnapshotView view = freeze(hook);
      Outcome outcome = new Outcome();
      hook.apply(
          new Mutation.Zero(
              0, 64L << 20, Mutation.Provisioning.MAY_PUNCH, Mutation.Durability.CACHED),
          outcome);
      outcome.future().join();
      assertEquals(64L << 20, view.statistics().preservedBytes());
    }
  }
}
