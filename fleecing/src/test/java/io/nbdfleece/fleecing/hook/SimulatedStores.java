// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.Completion;
import io.nbdfleece.cache.SlotFile;
import io.nbdfleece.cache.StoreConfig;
import io.nbdfleece.cache.TieredStore;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/// The real store over a simulated scratch file and a simulated background thread.
final class SimulatedStores {
  private SimulatedStores() {}

  /// What a simulated run looks like.
  ///
  /// @param ramSlots RAM budget in clusters
  /// @param scratchSlots cap of the disk tier in clusters
  /// @param faults whether anything fails that can
  record Plan(int clusterBytes, int ramSlots, int scratchSlots, boolean faults) {}

  /// A store, and what its owner has to call every so often.
  record Built(ClusterStore store, Runnable retryParked) {}

  static Plan plan(SimulatedWorld world) {
    boolean faults = world.chance(0.6);
    int ramSlots = 4 + world.random.nextInt(30);
    int scratchSlots =
        faults ? (world.chance(0.2) ? 0 : 1 + world.random.nextInt(60)) : Integer.MAX_VALUE / 4096;
    return new Plan(4096, ramSlots, scratchSlots, faults);
  }

  static Built build(SimulatedWorld world, Plan plan) {
    StoreConfig config =
        new StoreConfig(
            plan.clusterBytes(),
            (long) plan.ramSlots() * plan.clusterBytes(),
            Path.of("/simulated"),
            (long) plan.scratchSlots() * plan.clusterBytes());
    TieredStore store =
        new TieredStore(config, new SimulatedFile(world, plan.faults()), world.executor(20_000));
    return new Built(store, store::retryParked);
  }

  /// A store that keeps everything in RAM.
  static ClusterStore inMemory(int clusterBytes, int slots) {
    return new TieredStore(
        new StoreConfig(clusterBytes, (long) slots * clusterBytes, Path.of("/none"), 0),
        new SimulatedFile(new SimulatedWorld(0), false),
        task -> {
          throw new AssertionError("nothing to do in the background");
        });
  }

  /// A scratch file that takes its time, fails, and flips bits.
  private static final class SimulatedFile implements SlotFile {
    private static final long DELAY_NANOS_MAX = 300_000;
    private final SimulatedWorld world;
    private final boolean faults;
    private final Map<Long, byte[]> clusters = new HashMap<>();

    SimulatedFile(SimulatedWorld world, boolean faults) {
      this.world = world;
      this.faults = faults;
    }

    private boolean fails(double chance) {
      return faults && !world.isCalm() && world.chance(chance);
    }

    private void sometime(Runnable what) {
      if (world.isCalm() || world.chance(0.3)) {
        what.run();
      } else {
        world.later(DELAY_NANOS_MAX, what);
      }
    }

    @Override
    public void write(long offsetBytes, ByteBuffer data, Completion done) {
      if (fails(0.05)) {
        sometime(() -> done.failed(new IOException("simulated EIO of the scratch file")));
        return;
      }
      sometime(
          () -> {
            byte[] bytes = new byte[data.remaining()];
            data.get(bytes);
            if (fails(0.01)) {
              bytes[world.random.nextInt(bytes.length)] ^= 4; // a flipped bit
            }
            clusters.put(offsetBytes, bytes);
            done.succeeded();
          });
    }

    @Override
    public void read(long offsetBytes, ByteBuffer target, Completion done) {
      if (fails(0.01)) {
        sometime(() -> done.failed(new IOException("simulated EIO of the scratch file")));
        return;
      }
      sometime(
          () -> {
            byte[] bytes = clusters.getOrDefault(offsetBytes, new byte[0]);
            target.put(Arrays.copyOf(bytes, target.remaining()));
            done.succeeded();
          });
    }

    @Override
    public void punch(long offsetBytes, long lengthBytes, Completion done) {
      sometime(
          () -> {
            for (long at = offsetBytes; at < offsetBytes + lengthBytes; at += 4096) {
              clusters.remove(at);
            }
            done.succeeded();
          });
    }

    @Override
    public void close() {}
  }
}
