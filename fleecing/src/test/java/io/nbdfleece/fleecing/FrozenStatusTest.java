// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockExtent.State;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What snapshots say of holes while a guest writes into them, punches them, and asks for them, so
/// that much is known of the file that is about to be wrong.
@Timeout(60)
final class FrozenStatusTest {
  private static final int CLUSTER = EngineRig.GRANULE;
  private static final int BLOCK = 4096;
  private static final int SNAPSHOTS = 150;

  @TempDir Path directory;

  private static final class Found implements ExtentsCompletion {
    final CompletableFuture<List<BlockExtent>> future = new CompletableFuture<>();

    @Override
    public void succeeded(List<BlockExtent> extents) {
      future.complete(extents);
    }

    @Override
    public void failed(IOException error) {
      future.completeExceptionally(error);
    }
  }

  private static void punch(EngineRig rig, long offsetBytes, long lengthBytes) throws IOException {
    rig.apply("vda", new Mutation.Discard(offsetBytes, lengthBytes, Mutation.Durability.CACHED));
  }

  private static List<BlockExtent> status(SnapshotView view, long offsetBytes, long lengthBytes)
      throws IOException {
    Found found = new Found();
    view.status(offsetBytes, lengthBytes, 1000, found);
    return EngineRig.get(found.future);
  }

  @Test
  void aHoleOfASnapshotReadsAsZeroesAndWhatWasWrittenBeforeItIsNoHole() throws Exception {
    try (EngineRig rig = new EngineRig(directory, false, "vda")) {
      punch(rig, 0, EngineRig.SIZE);
      AtomicBoolean over = new AtomicBoolean();
      CompletableFuture<Void> guest =
          CompletableFuture.runAsync(
              () -> guest(rig, over), task -> Thread.ofPlatform().name("guest").start(task));
      int holes = 0;
      try {
        for (int i = 0; i < SNAPSHOTS; i++) {
          holes += snapshot(rig, "s" + i, 2L * (i % 128) * BLOCK);
        }
      } finally {
        over.set(true);
        guest.join();
      }
      assertTrue(holes > SNAPSHOTS, "holes seen: " + holes);
    }
  }

  /// Writes to the odd blocks only.
  private static void guest(EngineRig rig, AtomicBoolean over) {
    SplittableRandom random = new SplittableRandom(3);
    byte[] ones = new byte[BLOCK];
    java.util.Arrays.fill(ones, (byte) 1);
    try {
      for (int i = 0; !over.get(); i++) {
        long block = 2L * random.nextInt(EngineRig.SIZE / BLOCK / 2) + 1;
        if (i % 50 == 49) {
          for (long each = 1; each < EngineRig.SIZE / BLOCK; each += 2) {
            punch(rig, each * BLOCK, BLOCK);
          }
        }
        rig.write("vda", block * BLOCK, ones);
        Found found = new Found();
        rig.disk("vda").top().status(0, EngineRig.SIZE, 1000, found);
        assertEquals(State.DATA, at(EngineRig.get(found.future), block * BLOCK));
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static State at(List<BlockExtent> extents, long offsetBytes) {
    long position = 0;
    for (BlockExtent extent : extents) {
      position += extent.lengthBytes();
      if (offsetBytes < position) {
        return extent.state();
      }
    }
    throw new AssertionError("nothing is said of " + offsetBytes);
  }

  /// How many holes it has.
  private static int snapshot(EngineRig rig, String name, long ownOffsetBytes) throws IOException {
    byte[] own = new byte[BLOCK];
    java.util.Arrays.fill(own, (byte) name.length());
    rig.write("vda", ownOffsetBytes, own);
    var _ =
        EngineRig.get(
            rig.engine()
                .snapshot(EngineRig.request(name, Optional.empty(), Optional.empty(), "vda")));
    SnapshotView view = rig.view(name, "vda");
    punch(rig, ownOffsetBytes, BLOCK);
    int holes = 0;
    for (long start = 0; start < EngineRig.SIZE; start += CLUSTER / 2) {
      long position = start;
      for (BlockExtent extent : status(view, start, CLUSTER / 2)) {
        int length = (int) extent.lengthBytes();
        if (extent.state() != State.DATA) {
          holes++;
          assertArrayEquals(new byte[length], EngineRig.read(view, position, length), name);
        }
        position += length;
      }
      assertEquals(start + CLUSTER / 2, position);
    }
    assertArrayEquals(own, EngineRig.read(view, ownOffsetBytes, BLOCK));
    assertEquals(State.DATA, status(view, ownOffsetBytes, BLOCK).getFirst().state());
    var _ = rig.engine().release(name);
    return holes;
  }
}
