// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.StoreStatistics;
import io.nbdfleece.cache.TieredStore;
import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/// An engine over disks and a scratch file in memory, of whose calls one fails.
final class FailedCallRig implements AutoCloseable {
  private static final int RAM_CLUSTERS = 16;

  private final OnCbwError policy;
  private final NthCall calls;
  private final ExecutorService spiller = Executors.newSingleThreadExecutor();
  private @Nullable TieredStore store;
  final FleecingEngine engine;

  FailedCallRig(
      Path directory,
      int scratchClusters,
      OnCbwError policy,
      NthCall calls,
      Optional<DiskStates> states)
      throws IOException {
    this.policy = policy;
    this.calls = calls;
    this.engine =
        FleecingEngine.open(
            new EngineConfig(
                FailingDisk.CLUSTER,
                (long) RAM_CLUSTERS * FailingDisk.CLUSTER,
                directory,
                (long) scratchClusters * FailingDisk.CLUSTER,
                2),
            states,
            System::nanoTime,
            (config, _) -> {
              TieredStore made = new TieredStore(config, calls.new Scratch(), spiller);
              store = made;
              return made;
            });
  }

  /// A snapshot of these disks.
  SnapshotRequest request(String name, Increment increment, List<String> disks) {
    return new SnapshotRequest(
        disks,
        Optional.of(name),
        SnapshotRequest.Access.READ_ONLY,
        policy,
        Duration.ZERO,
        increment,
        SnapshotRequest.Lifetime.UNTIL_RELEASED);
  }

  SnapshotView view(String snapshot, String disk) {
    return engine.takenSnapshot(snapshot).orElseThrow().part(disk).orElseThrow().view();
  }

  /// Offsets of the clusters that a backup of this snapshot has to read, one of a chain.
  List<Integer> wanted(String snapshot, String disk) {
    return engine
        .takenSnapshot(snapshot)
        .orElseThrow()
        .part(disk)
        .orElseThrow()
        .dirty()
        .map(dirty -> clusters(dirty.granules()))
        .orElseThrow();
  }

  /// Offsets of the clusters that lie in a dirty granule.
  static List<Integer> clusters(GranuleSet set) {
    List<Integer> offsets = new ArrayList<>();
    for (int granule : EngineRig.granules(set)) {
      long from = (long) granule * set.granularityBytes();
      long end = Math.min(from + set.granularityBytes(), set.sizeBytes());
      for (long at = from; at < end; at += FailingDisk.CLUSTER) {
        offsets.add((int) at);
      }
    }
    return offsets;
  }

  /// What the engine does once a second.
  void retry() {
    if (store != null) {
      store.retryParked();
    }
  }

  /// Nothing is left of snapshots that are not there any more.
  void assertNothingLeft() {
    Awaitility.await()
        .pollInterval(Duration.ofMillis(1))
        .untilAsserted(
            () -> {
              retry();
              StoreStatistics left = engine.storeStatistics();
              assertEquals(0, left.entries(), "entries");
              assertEquals(0, left.ramBytes(), "RAM");
              assertEquals(0, left.diskBytes(), "scratch");
              assertEquals("", left.problem());
            });
  }

  @Override
  public void close() {
    var _ = closeWhole();
  }

  /// @return whether all could be closed in order
  boolean closeWhole() {
    try {
      engine.close();
      return true;
    } catch (IOException e) {
      assertTrue(calls.failed().isPresent(), () -> "close: " + e);
      return false;
    } finally {
      spiller.shutdown();
    }
  }
}
