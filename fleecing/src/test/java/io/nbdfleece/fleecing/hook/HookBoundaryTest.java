// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.Mutation;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Cluster arithmetic at its edges: which clusters a change preserves, and that the frozen view and
/// the disk are both right afterwards.
final class HookBoundaryTest {

  /// A change, in units of clusters plus bytes, and the clusters it must preserve.
  record Case(String name, long startBytes, long endBytes, int first, int last) {}

  private static List<Case> cases(int c, long size) {
    int count = (int) ((size + c - 1) / c);
    long lastStart = (count - 1L) * c;
    return List.of(
        new Case("full", 2L * c, 3L * c, 2, 2),
        new Case("partial left", 2L * c, 2L * c + c / 2, 2, 2),
        new Case("partial right", 2L * c + c / 2, 3L * c, 2, 2),
        new Case("middle", 2L * c + 1, 3L * c - 1, 2, 2),
        new Case("first byte", 0, 1, 0, 0),
        new Case("last byte of a cluster", 3L * c - 1, 3L * c, 2, 2),
        new Case("adjacent pair", 2L * c, 4L * c, 2, 3),
        new Case("straddling", 3L * c - 1, 3L * c + 1, 2, 3),
        new Case("straddling three", 2L * c - 1, 3L * c + 1, 1, 3),
        new Case("last cluster", lastStart, size, count - 1, count - 1),
        new Case("last byte", size - 1, size, count - 1, count - 1),
        new Case("into the last cluster", lastStart - 1, size, count - 2, count - 1),
        new Case("whole disk", 0, size, 0, count - 1));
  }

  static List<Arguments> everyCase() {
    List<Arguments> all = new ArrayList<>();
    for (int clusterBytes : new int[] {4096, 65536, 1 << 20}) {
      for (int extra : new int[] {0, 1, -300, 513}) {
        long sizeBytes = 6L * clusterBytes + extra;
        for (Case each : cases(clusterBytes, sizeBytes)) {
          all.add(Arguments.of(clusterBytes, sizeBytes, each));
        }
      }
    }
    return all;
  }

  @ParameterizedTest
  @MethodSource("everyCase")
  void preservesExactlyTheClustersTouched(int clusterBytes, long sizeBytes, Case change)
      throws Exception {
    for (int kind = 0; kind < 3; kind++) {
      SimulatedWorld world = new SimulatedWorld(1);
      world.calmDown();
      byte[] old = new byte[Math.toIntExact(sizeBytes)];
      for (int i = 0; i < old.length; i++) {
        old[i] = (byte) (1 + i % 251);
      }
      SimulatedDisk disk = new SimulatedDisk(world, old.clone(), 0);
      try (ClusterStore store = SimulatedStores.inMemory(clusterBytes, 16)) {
        FleecingHook hook =
            new FleecingHook("d", disk, store, Runnable::run, System::nanoTime, new Silent());
        SnapshotView view = frozen(hook);
        int lengthBytes = (int) (change.endBytes - change.startBytes);
        Mutation mutation =
            switch (kind) {
              case 0 ->
                  new Mutation.Write(
                      change.startBytes,
                      ByteBuffer.allocateDirect(lengthBytes),
                      Mutation.Durability.CACHED);
              case 1 ->
                  new Mutation.Zero(
                      change.startBytes,
                      lengthBytes,
                      Mutation.Provisioning.KEEP,
                      Mutation.Durability.DURABLE);
              default ->
                  new Mutation.Discard(change.startBytes, lengthBytes, Mutation.Durability.CACHED);
            };
        hook.apply(mutation, Outcome.mustSucceed());
        assertEquals(
            IntStream.rangeClosed(change.first, change.last).boxed().toList(), preserved(hook));
        byte[] now = old.clone();
        java.util.Arrays.fill(now, (int) change.startBytes, (int) change.endBytes, (byte) 0);
        assertArrayEquals(now, disk.content);
        ByteBuffer frozen = ByteBuffer.allocateDirect(old.length);
        view.read(0, frozen, Outcome.mustSucceed());
        byte[] seen = new byte[old.length];
        frozen.get(0, seen);
        assertArrayEquals(old, seen);
        view.release();
        assertEquals(0, store.statistics().entries());
      }
    }
  }

  private static SnapshotView frozen(FleecingHook hook) {
    return Freeze.start(
            List.of(hook),
            new SnapshotTerms("s", Access.READ_ONLY, OnCbwError.BREAK_SNAPSHOT, 0),
            System::nanoTime)
        .frozen()
        .join()
        .views()
        .getFirst();
  }

  private static List<Integer> preserved(FleecingHook hook) {
    List<Integer> clusters = new ArrayList<>();
    hook.lock.lock();
    try {
      Epoch epoch = hook.ledger.oldest();
      for (int c = 0; epoch != null && c < hook.geometry().clusterCount(); c++) {
        if (epoch.preserved.has(c) || epoch.parts.has(c)) {
          clusters.add(c);
        }
      }
    } finally {
      hook.lock.unlock();
    }
    return clusters;
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
}
