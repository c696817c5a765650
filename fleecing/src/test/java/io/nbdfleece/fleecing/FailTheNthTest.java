// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.posix.Errno;
import io.nbdfleece.fleecing.FailingDisk.Pulled;
import io.nbdfleece.fleecing.NthCall.Stretch;
import io.nbdfleece.fleecing.SnapshotRequest.Increment;
import io.nbdfleece.fleecing.SnapshotRequest.OnCbwError;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// One scenario of each kind, run once to count its I/O calls, then once for each of them with that
/// call failing: with EIO, with ENOSPC, and with EIO from there on for the same file. What the
/// guest and the backup then see is what the table of failures says, and nothing leaks.
@Timeout(300)
final class FailTheNthTest {
  private static final int CLUSTER = FailingDisk.CLUSTER;

  @TempDir private Path directory;

  private interface Scenario {
    void run(FailedCallRig rig, FailingDisk disk) throws IOException;
  }

  private void failEach(String name, int clusters, int scratchClusters, Scenario scenario)
      throws IOException {
    int runs = 0;
    int struck = 0;
    for (OnCbwError policy : OnCbwError.values()) {
      NthCall counted = new NthCall(0, 0, Stretch.ONCE);
      run(clusters, scratchClusters, policy, counted, scenario);
      // A few more: how many there are depends on what the spiller does when.
      for (int n = 1; n <= counted.count() + 5; n++) {
        for (NthCall nth :
            List.of(
                new NthCall(n, Errno.EIO, Stretch.ONCE),
                new NthCall(n, Errno.ENOSPC, Stretch.ONCE),
                new NthCall(n, Errno.EIO, Stretch.FROM_THEN_ON))) {
          try {
            run(clusters, scratchClusters, policy, nth, scenario);
          } catch (AssertionError | RuntimeException | IOException e) {
            throw new AssertionError(
                name + ", " + policy + ": call " + n + " failed: " + nth.failed(), e);
          }
          runs++;
          struck += nth.failed().isPresent() ? 1 : 0;
        }
      }
    }
    System.out.println("FailTheNthTest: " + name + ": runs: " + runs + ", calls failed: " + struck);
    assertTrue(struck > runs / 2, "it misses its purpose");
  }

  private void run(
      int clusters, int scratchClusters, OnCbwError policy, NthCall calls, Scenario scenario)
      throws IOException {
    FailingDisk disk = new FailingDisk("vda", clusters, policy, calls);
    try (FailedCallRig rig =
        new FailedCallRig(directory, scratchClusters, policy, calls, Optional.empty())) {
      disk.addTo(rig.engine);
      scenario.run(rig, disk);
      rig.assertNothingLeft();
    }
  }

  private static SnapshotView freeze(FailedCallRig rig, String name, Increment increment)
      throws IOException {
    var _ = EngineRig.get(rig.engine.snapshot(rig.request(name, increment, List.of("vda"))));
    return rig.view(name, "vda");
  }

  /// A snapshot is pulled while the guest changes the disk.
  private static void pullOnce(FailedCallRig rig, FailingDisk disk, int changes)
      throws IOException {
    byte[] truth = disk.expected.clone();
    SnapshotView view = freeze(rig, "s", Increment.NONE);
    int size = truth.length;
    for (int i = 0; i < changes; i++) {
      int offset = i * 5 * CLUSTER / 2 % (size - 3 * CLUSTER);
      var _ = disk.change(offset, i % 3 == 0 ? 100 : CLUSTER + i * 64);
    }
    rig.retry();
    disk.flush();
    Pulled pulled = disk.pull(view, truth, disk.allOffsets());
    if (pulled.isWhole()) {
      assertEquals(-1, Arrays.mismatch(truth, pulled.copy));
    }
    var _ = disk.change(size - CLUSTER, CLUSTER);
    var _ = disk.pull(view, truth, List.of(0, 3 * CLUSTER, size - CLUSTER));
    var _ = rig.engine.release("s");
  }

  @Test
  void snapshotAndPull() throws IOException {
    failEach("snapshot and pull", 12, 0, (rig, disk) -> pullOnce(rig, disk, 8));
  }

  @Test
  void spill() throws IOException {
    failEach("spill", 30, 64, (rig, disk) -> pullOnce(rig, disk, 15));
  }

  @Test
  void incremental() throws IOException {
    failEach("incremental", 48, 64, FailTheNthTest::backUpInAChain);
  }

  private static Increment step(Optional<String> checkpoint, Optional<String> since) {
    return new Increment(
        checkpoint, since, Map.of(), Optional.empty(), SnapshotRequest.Outside.DATA);
  }

  /// A full backup and two incremental ones, each on top of the last that was whole. Bitmaps have
  /// granules of 64 KiB here.
  private static void backUpInAChain(FailedCallRig rig, FailingDisk disk) throws IOException {
    Optional<String> base = Optional.empty();
    byte[] backup = new byte[disk.expected.length];
    for (int round = 0; round < 3; round++) {
      String name = "s" + round;
      String checkpoint = "c" + round;
      byte[] truth = disk.expected.clone();
      SnapshotView view = freeze(rig, name, step(Optional.of(checkpoint), base));
      for (int i = 0; i < 4; i++) {
        var _ = disk.change((5 * i + 17 * round) % 45 * CLUSTER + 10, 2 * CLUSTER);
      }
      List<Integer> wanted = base.isEmpty() ? disk.allOffsets() : rig.wanted(name, "vda");
      Pulled pulled = disk.pull(view, truth, wanted);
      if (pulled.isWhole()) {
        for (int offset : wanted) {
          System.arraycopy(pulled.copy, offset, backup, offset, CLUSTER);
        }
        assertEquals(-1, Arrays.mismatch(truth, backup), "a bitmap lacks what was written");
        base = Optional.of(checkpoint);
        var _ = rig.engine.release(name, ReleaseOutcome.SUCCESS);
      } else {
        var _ = rig.engine.release(name, ReleaseOutcome.FAILED);
      }
    }
  }
}
