// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.SlotFile;
import io.nbdfleece.cache.StoreConfig;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.block.Mutation;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/// A bit that flips in the scratch file costs the snapshots that see its cluster that one, and they
/// are told which.
final class DamagedScratchTest {
  private static final int CLUSTER = 4096;
  private static final int CLUSTERS = 24;
  private static final int SECTOR = 512;

  /// A disk of which every cluster has been overwritten since snapshot `s`, most copies spilled.
  private static final class Rig implements HookListener, SlotFile {
    final byte[] old = new byte[CLUSTERS * CLUSTER];
    final List<String> lost = new ArrayList<>();
    final Map<Long, byte[]> scratch = new HashMap<>();
    private final SimulatedWorld world = new SimulatedWorld(1);
    final TieredStore store =
        new TieredStore(
            new StoreConfig(CLUSTER, 4L * CLUSTER, Path.of("/scratch"), 64L * CLUSTER),
            this,
            world.executor(1));
    private final FleecingHook hook;
    final List<SnapshotView> views = new ArrayList<>();

    Rig(int snapshots) {
      world.calmDown();
      new Random(3).nextBytes(old);
      hook =
          new FleecingHook(
              "vda",
              new SimulatedDisk(world, old.clone(), 0),
              store,
              world.executor(1),
              world::nowNanos,
              this);
      for (int i = 0; i < snapshots; i++) {
        views.addAll(
            Freeze.start(
                    List.of(hook),
                    new SnapshotTerms("s" + i, Access.READ_ONLY, OnCbwError.BREAK_SNAPSHOT, 0),
                    world::nowNanos)
                .frozen()
                .join()
                .views());
      }
      for (int cluster = 0; cluster < CLUSTERS; cluster++) {
        Outcome written = new Outcome();
        hook.apply(
            new Mutation.Discard((long) cluster * CLUSTER, CLUSTER, Mutation.Durability.CACHED),
            written);
        settle();
        written.future().join();
      }
    }

    void settle() {
      while (world.step()) {
        // until nothing happens any more
      }
    }

    /// Offsets of clusters whose copy is in the scratch file.
    List<Integer> spilled() throws Exception {
      List<Integer> offsets = new ArrayList<>();
      int at = 0;
      for (FrozenExtent extent : views.getFirst().sources(0, old.length, CLUSTERS)) {
        for (int end = at + (int) extent.lengthBytes(); at < end; at += CLUSTER) {
          if (extent.source() == FrozenExtent.Source.SPILLED) {
            offsets.add(at);
          }
        }
      }
      return offsets;
    }

    /// Flips a bit of the copy of that cluster.
    void flip(int offset, int byteOfCluster, int bit) {
      byte[] truth = Arrays.copyOfRange(old, offset, offset + CLUSTER);
      byte[] copy =
          scratch.values().stream()
              .filter(bytes -> Arrays.equals(bytes, truth))
              .findFirst()
              .orElseThrow();
      copy[byteOfCluster] ^= (byte) (1 << bit);
    }

    CompletableFuture<Void> read(SnapshotView view, int offset, ByteBuffer target) {
      Outcome outcome = new Outcome();
      view.read(offset, target, outcome);
      settle();
      return outcome.future();
    }

    void assertReads(SnapshotView view, int offset) {
      ByteBuffer target = ByteBuffer.allocateDirect(CLUSTER);
      read(view, offset, target).join();
      byte[] got = new byte[CLUSTER];
      target.get(0, got);
      assertArrayEquals(Arrays.copyOfRange(old, offset, offset + CLUSTER), got);
    }

    /// Of one sector inside, which the text of the error tells.
    void assertLost(SnapshotView view, int offset) {
      CompletableFuture<Void> refused =
          read(view, offset + SECTOR, ByteBuffer.allocateDirect(SECTOR));
      assertTrue(refused.isCompletedExceptionally(), "damage unseen at " + offset);
      String text = String.valueOf(refused.exceptionNow().getMessage());
      assertTrue(text.contains("the cluster at offset " + offset + " is lost: "), text);
    }

    void end() throws Exception {
      views.forEach(SnapshotView::release);
      settle();
      assertEquals(0, store.statistics().ramBytes());
      assertEquals(0, store.statistics().diskBytes());
      store.close();
    }

    @Override
    public void snapshotBroken(String disk, String snapshot, String reason) {
      throw new AssertionError(reason);
    }

    @Override
    public void clusterLost(
        String disk, List<String> snapshots, long offsetBytes, long lengthBytes, String reason) {
      assertTrue(reason.contains("checksum differs"), reason);
      lost.add(disk + snapshots + offsetBytes + "+" + lengthBytes);
    }

    @Override
    public void write(long offsetBytes, List<ByteBuffer> data, Completion done) {
      long position = offsetBytes;
      for (ByteBuffer cluster : data) {
        byte[] bytes = new byte[cluster.remaining()];
        cluster.get(bytes);
        scratch.put(position, bytes);
        position += bytes.length;
      }
      done.succeeded();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      target.put(scratch.getOrDefault(offsetBytes, new byte[0]));
      done.succeeded();
    }

    @Override
    public void punch(long offsetBytes, long lengthBytes, Completion done) {
      for (long at = offsetBytes; at < offsetBytes + lengthBytes; at += CLUSTER) {
        scratch.remove(at);
      }
      done.succeeded();
    }

    @Override
    public void close() {}
  }

  @Test
  void flippedBitInAnyByteCostsItsClusterAndTheRestStaysReadable() throws Exception {
    Random random = new Random(1);
    int flips = 0;
    for (int at = 0; at < CLUSTER; ) {
      Rig rig = new Rig(1);
      SnapshotView view = rig.views.getFirst();
      List<Integer> spilled = rig.spilled();
      assertTrue(spilled.size() > 8, spilled::toString);
      List<String> expected = new ArrayList<>();
      for (int offset : spilled) {
        if (at < CLUSTER) {
          rig.flip(offset, at++, random.nextInt(8));
          flips++;
          rig.assertLost(view, offset);
          expected.add("vda[s0]" + offset + "+" + CLUSTER);
          rig.assertLost(view, offset); // told once
        } else {
          rig.assertReads(view, offset);
        }
      }
      assertEquals(expected, rig.lost);
      for (int offset = 0; offset < rig.old.length; offset += CLUSTER) {
        if (!spilled.contains(offset)) {
          rig.assertReads(view, offset);
        }
      }
      assertEquals((long) expected.size() * CLUSTER, view.statistics().lostBytes());
      rig.end();
    }
    System.out.println("DamagedScratchTest: flipped bits: " + flips);
  }

  @Test
  void allSnapshotsThatShareTheCopyAreToldAtOnce() throws Exception {
    Rig rig = new Rig(2);
    int offset = rig.spilled().getFirst();
    rig.flip(offset, 100, 3);
    rig.assertLost(rig.views.get(1), offset);
    assertEquals(List.of("vda[s1, s0]" + offset + "+" + CLUSTER), rig.lost);
    rig.assertLost(rig.views.get(0), offset);
    assertEquals(1, rig.lost.size());
    for (SnapshotView view : rig.views) {
      assertEquals(
          List.of(new SnapshotView.LostRange(offset, CLUSTER)), view.statistics().lostRanges());
      assertEquals(
          List.of(new FrozenExtent(CLUSTER, FrozenExtent.Source.LOST)),
          view.sources(offset, CLUSTER, 1));
      assertFalse(view.brokenBecause().isPresent());
    }
    rig.end();
  }
}
