// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.fleecing.SnapshotRequest.Access;
import io.nbdfleece.fleecing.SnapshotRequest.Outside;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What backup clients do with snapshots in a simulation, and whether each answer may be as it is.
final class SimulatedBackup {
  private final SimulatedWorld world;
  private final int clusterBytes;
  private final ClusterStore store;
  private final BufferArena buffers;
  int readsOpen;
  int prefetchesOpen;
  int readsVerified;
  int partialReads;
  int lostReads;
  int prefetches;
  long prefetchedBytesMax;

  SimulatedBackup(SimulatedWorld world, int clusterBytes, ClusterStore store, BufferArena buffers) {
    this.world = world;
    this.clusterBytes = clusterBytes;
    this.store = store;
    this.buffers = buffers;
  }

  void readSome(SimulatedSnapshot snapshot) {
    int from = world.choice.nextInt(snapshot.truth.length);
    int rest = snapshot.truth.length - from;
    read(snapshot, from, 1 + world.choice.nextInt(Math.min(rest, clusterBytes * 4)));
  }

  void read(SimulatedSnapshot snapshot, int from, int lengthBytes) {
    ByteBuffer target = buffers.allocate(lengthBytes);
    boolean releasedBefore = snapshot.anyReleased(from, lengthBytes);
    boolean lostBefore = snapshot.anyLost(from, lengthBytes);
    boolean endedBefore = snapshot.released || snapshot.view.brokenBecause().isPresent();
    readsOpen++;
    snapshot.view.read(
        from,
        target,
        new CalledOnce() {
          @Override
          void end(@Nullable IOException error) {
            readsOpen--;
            if (error != null) {
              checkExcuse(error, snapshot, from, lengthBytes);
              return;
            }
            assertFalse(releasedBefore, "a released cluster was read");
            assertFalse(lostBefore, "a lost cluster was read");
            assertFalse(endedBefore, "an ended snapshot yielded data (I7)");
            assertTrue(
                snapshot.view.brokenBecause().isEmpty() && !snapshot.released,
                "a read in flight yielded data after the end (I7)");
            checkBytes(snapshot, from, target);
          }
        });
  }

  private void checkBytes(SimulatedSnapshot snapshot, int from, ByteBuffer target) {
    byte[] got = new byte[target.capacity()];
    target.get(0, got);
    assertFalse(
        snapshot.outside() == Outside.ERROR && snapshot.anyOutside(from, got.length),
        "what is outside was read");
    byte[] expected = Arrays.copyOfRange(snapshot.shown, from, from + got.length);
    assertEquals(
        -1,
        Arrays.mismatch(expected, got),
        () -> "wrong byte in " + snapshot.view.terms() + " in a read at " + from);
    readsVerified++;
    partialReads += snapshot.anyOutside(from, got.length) ? 1 : 0;
    if (snapshot.access() == Access.READ_ONCE) {
      snapshot.release(from, got.length);
    }
  }

  private void checkExcuse(
      IOException error, SimulatedSnapshot snapshot, int from, int lengthBytes) {
    String text = String.valueOf(error.getMessage());
    boolean ended = snapshot.released || snapshot.view.brokenBecause().isPresent();
    boolean excused = error instanceof SnapshotEndedException && ended;
    if (text.contains("was released by its client")) {
      excused |= snapshot.anyReleased(from, lengthBytes);
    }
    if (text.contains("is outside of the bitmap")) {
      excused |= snapshot.outside() == Outside.ERROR && snapshot.anyOutside(from, lengthBytes);
    }
    if (text.contains("is lost: ")) {
      // Of what its client gave up while it was read nobody is told.
      excused |= snapshot.anyLost(from, lengthBytes) || snapshot.anyReleased(from, lengthBytes);
      lostReads++;
    }
    if (text.contains(SimulatedDisk.ERROR_TEXT)) {
      excused |=
          world.faults.contains(Fault.DISK_READ) || world.faults.contains(Fault.DISK_BAD_SECTOR);
    }
    assertTrue(excused, "a read failed without reason: " + error);
  }

  void statusSome(SimulatedSnapshot snapshot) {
    int from = world.choice.nextInt(snapshot.truth.length);
    int lengthBytes = 1 + world.choice.nextInt(snapshot.truth.length - from);
    int extentsMax = 1 + world.choice.nextInt(20);
    snapshot.checkSources(from, lengthBytes, extentsMax);
    snapshot.view.status(
        from,
        lengthBytes,
        extentsMax,
        new ExtentsCompletion() {
          @Override
          public void succeeded(List<BlockExtent> extents) {
            assertFalse(extents.isEmpty(), "no extent");
            assertTrue(
                snapshot.check(from, extents) <= from + lengthBytes, "more status than asked");
          }

          @Override
          public void failed(IOException error) {
            boolean ofDisk = String.valueOf(error.getMessage()).contains(SimulatedDisk.ERROR_TEXT);
            assertTrue(
                error instanceof SnapshotEndedException
                    || (ofDisk && world.faults.contains(Fault.DISK_STATUS)),
                "status failed: " + error);
          }
        });
  }

  void discardSome(SimulatedSnapshot snapshot) {
    if (snapshot.access() != Access.DISCARD) {
      return;
    }
    int from = world.choice.nextInt(snapshot.truth.length);
    int lengthBytes =
        1 + world.choice.nextInt(Math.min(snapshot.truth.length - from, clusterBytes * 3));
    snapshot.view.discard(
        from,
        lengthBytes,
        new CalledOnce() {
          @Override
          void end(@Nullable IOException error) {
            if (error == null) {
              snapshot.release(from, lengthBytes);
            } else {
              assertTrue(error instanceof SnapshotEndedException, "discard failed: " + error);
            }
          }
        });
  }

  void prefetchSome(SimulatedSnapshot snapshot) {
    int from = world.choice.nextInt(snapshot.truth.length);
    int lengthBytes = 1 + world.choice.nextInt(snapshot.truth.length - from);
    long waitsBefore = store.statistics().slotWaitsTotal();
    prefetchesOpen++;
    snapshot.view.prefetch(
        from,
        lengthBytes,
        new CalledOnce() {
          @Override
          void end(@Nullable IOException error) {
            prefetchesOpen--;
            assertTrue(
                error == null || error instanceof SnapshotEndedException,
                "a prefetch failed: " + error);
            prefetches++;
          }
        });
    assertEquals(waitsBefore, store.statistics().slotWaitsTotal(), "a prefetch waits for room");
    prefetchedBytesMax = Math.max(prefetchedBytesMax, store.statistics().spareBytes());
  }

  /// Direct buffers for one run, all taken back at the start of the next.
  static final class BufferArena {
    private final ByteBuffer slab = ByteBuffer.allocateDirect(16 << 20);
    private int used;

    void reset() {
      used = 0;
    }

    ByteBuffer allocate(int lengthBytes) {
      ByteBuffer buffer = slab.slice(used, lengthBytes);
      used += lengthBytes;
      return buffer;
    }
  }
}
