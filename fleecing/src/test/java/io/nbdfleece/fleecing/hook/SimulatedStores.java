// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.ClusterStore;
import io.nbdfleece.cache.SlotFile;
import io.nbdfleece.cache.StoreConfig;
import io.nbdfleece.cache.TieredStore;
import java.nio.file.Path;

/// The real store over a simulated scratch file and a simulated background thread.
public final class SimulatedStores {
  private SimulatedStores() {}

  /// What a simulated run looks like.
  ///
  /// @param ramSlots RAM budget in clusters
  /// @param scratchSlots cap of the disk tier in clusters
  public record Plan(int clusterBytes, int ramSlots, int scratchSlots) {}

  /// A store, and what its owner has to call every so often.
  public record Built(ClusterStore store, Runnable retryParked) {}

  public static Plan plan(SimulatedWorld world) {
    int ramSlots = 4 + world.random.nextInt(30);
    int scratchSlots = world.chance(0.2) ? 0 : 1 + world.random.nextInt(60);
    return new Plan(
        4096,
        ramSlots,
        world.faults.contains(Fault.SCRATCH_SMALL) ? scratchSlots : Integer.MAX_VALUE / 4096);
  }

  public static Built build(SimulatedWorld world, Plan plan) {
    StoreConfig config =
        new StoreConfig(
            plan.clusterBytes(),
            (long) plan.ramSlots() * plan.clusterBytes(),
            Path.of("/simulated"),
            (long) plan.scratchSlots() * plan.clusterBytes());
    TieredStore store =
        new TieredStore(config, scratch(world, plan.clusterBytes()), world.executor(20_000));
    return new Built(store, store::retryParked);
  }

  /// A simulated scratch file.
  public static SlotFile scratch(SimulatedWorld world, int clusterBytes) {
    return new SimulatedScratch(world, clusterBytes);
  }

  /// A store that keeps everything in RAM. Nothing happens in the background: RAM is not touched
  /// ahead of its use.
  static ClusterStore inMemory(int clusterBytes, int slots) {
    return new TieredStore(
        new StoreConfig(clusterBytes, (long) slots * clusterBytes, Path.of("/none"), 0),
        new SimulatedScratch(new SimulatedWorld(0), clusterBytes),
        _ -> {});
  }
}
