// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DiskBitmaps;
import io.nbdfleece.fleecing.bitmap.TrackingNode;
import io.nbdfleece.fleecing.hook.FleecingHook;
import io.nbdfleece.fleecing.hook.SnapshotTerms;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;

/// Disks and snapshots as exports take them, without an engine, which has threads.
public final class SimulatedServing {
  private SimulatedServing() {}

  /// A disk with that hook.
  ///
  /// @param tracked below the hook
  public static ServedDisk disk(String name, FleecingHook hook, TrackingNode tracked) {
    DiskTracking tracking =
        new DiskTracking(
            tracked::track,
            DiskBitmaps.of(name, hook.sizeBytes(), List.of()),
            Optional.empty(),
            "it is simulated",
            false);
    return new ServedDisk(
        new DiskConfig(name, "/simulated/" + name, DiskConfig.Access.READ_WRITE),
        Optional.empty(),
        hook,
        tracking);
  }

  /// A snapshot that has been taken.
  ///
  /// @param views of the disks, in their order
  public static Snapshot snapshot(
      SnapshotTerms terms, List<ServedDisk> disks, List<SnapshotView> views, LongSupplier clock) {
    List<Snapshot.Part> parts = new ArrayList<>();
    for (int i = 0; i < disks.size(); i++) {
      parts.add(
          new Snapshot.Part(
              disks.get(i),
              views.get(i),
              new SnapshotClients(),
              Optional.empty(),
              Optional.empty(),
              Optional.empty()));
    }
    SnapshotRequest request =
        new SnapshotRequest(
            disks.stream().map(disk -> disk.config().name()).toList(),
            Optional.of(terms.name()),
            terms.access(),
            terms.onCbwError(),
            Duration.ofNanos(terms.cbwTimeoutNanos()));
    return new Snapshot(
        terms.name(),
        Instant.ofEpochSecond(0, clock.getAsLong()),
        Duration.ZERO,
        request,
        parts,
        Map.of(),
        clock);
  }
}
