// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.GranuleSet;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import io.nbdfleece.fleecing.hook.SnapshotView;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;

/// A named snapshot of one disk or several, taken at one instant. Any thread.
public final class Snapshot {
  /// A client sees this in each error of a snapshot that broke, and in no other.
  public static final String BROKEN_TEXT = SnapshotView.BROKEN_TEXT;

  /// A client sees this in each error of a snapshot that was released, by its time too, and of what
  /// a client has released of one.
  public static final String RELEASED_TEXT = SnapshotView.RELEASED_TEXT;

  /// A client sees this in each error of what a client has released, and in no other.
  public static final String RELEASED_BY_CLIENT_TEXT = SnapshotView.RELEASED_BY_CLIENT_TEXT;

  private final String name;
  private final Instant created;
  private final Duration freezeTime;
  private final SnapshotRequest request;
  private final List<Part> parts;
  private final Map<String, String> bitmapsInUse;
  private final LongSupplier nanoClock;
  private final long bornNanos;

  /// @param bitmapsInUse by disk, the bitmap that is busy as long as the snapshot lasts
  /// @param nanoClock of lifetimes
  Snapshot(
      String name,
      Instant created,
      Duration freezeTime,
      SnapshotRequest request,
      List<Part> parts,
      Map<String, String> bitmapsInUse,
      LongSupplier nanoClock) {
    this.name = name;
    this.created = created;
    this.freezeTime = freezeTime;
    this.request = request;
    this.parts = List.copyOf(parts);
    this.bitmapsInUse = Map.copyOf(bitmapsInUse);
    this.nanoClock = nanoClock;
    this.bornNanos = nanoClock.getAsLong();
  }

  public String name() {
    return name;
  }

  /// The instant it shows, which tells it from every other one of its name.
  public Instant created() {
    return created;
  }

  /// Its disks.
  public List<Part> parts() {
    return parts;
  }

  /// The view of one disk, if the snapshot has it.
  public Optional<Part> part(String disk) {
    return parts.stream().filter(part -> part.disk().config().name().equals(disk)).findFirst();
  }

  /// The bitmap of that disk that it is since, unless that is a checkpoint.
  Optional<String> sinceBitmap(Part part) {
    return Optional.ofNullable(bitmapsInUse.get(part.disk().config().name()));
  }

  /// The checkpoint that waits for its success.
  Optional<String> checkpoint() {
    return request.increment().checkpoint();
  }

  long bornNanos() {
    return bornNanos;
  }

  boolean isBroken() {
    return parts.stream().anyMatch(part -> part.view().brokenBecause().isPresent());
  }

  /// Whether somebody has it open.
  boolean hasClients() {
    return parts.stream().anyMatch(part -> part.clients().present() > 0);
  }

  /// How often somebody has opened it: more than before, and it had a client meanwhile.
  long visits() {
    return parts.stream().mapToLong(part -> part.clients().visits()).sum();
  }

  SnapshotStatus status() {
    return new SnapshotStatus(
        name,
        created,
        Duration.ofNanos(nanoClock.getAsLong() - bornNanos),
        freezeTime,
        request.access(),
        request.onCbwError(),
        request.increment(),
        request.lifetime(),
        parts.stream().map(part -> part.status(name)).toList());
  }

  /// What it was asked to be.
  public SnapshotRequest request() {
    return request;
  }

  /// One disk's view and who reads it.
  ///
  /// @param dirty the bitmap exported beside the view
  /// @param clients the connections that have it open
  /// @param since the checkpoint that the bitmap starts at, if it is one
  /// @param starts the checkpoint that it starts
  public record Part(
      ServedDisk disk,
      SnapshotView view,
      SnapshotClients clients,
      Optional<Dirty> dirty,
      Optional<Point> since,
      Optional<Point> starts) {

    /// A checkpoint of the disk.
    ///
    /// @param created tells it from every other one of its name
    public record Point(String checkpoint, Instant created) {
      static Optional<Point> of(TrackedBitmap bitmap) {
        return bitmap.checkpoint().map(_ -> new Point(bitmap.name(), bitmap.created()));
      }
    }

    /// An exported bitmap.
    ///
    /// @param exportedAs NAME in `qemu:dirty-bitmap:NAME`
    public record Dirty(String exportedAs, GranuleSet granules) {}

    private SnapshotStatus.PerDisk status(String snapshot) {
      SnapshotView.ViewStatistics held = view.statistics();
      String diskName = disk.config().name();
      return new SnapshotStatus.PerDisk(
          diskName,
          diskName + "@" + snapshot,
          view.sizeBytes(),
          held.preservedBytes(),
          held.ramBytes(),
          held.diskBytes(),
          held.releasedBytes(),
          held.lostBytes(),
          held.lostRanges(),
          clients.present(),
          view.brokenBecause(),
          dirty.map(Dirty::exportedAs),
          dirty.map(d -> d.granules().dirtyBytes()));
    }
  }
}
