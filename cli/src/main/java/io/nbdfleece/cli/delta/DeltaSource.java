// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import java.time.Instant;
import java.util.Optional;

/// Where the changes come from.
///
/// @param sizeBytes of the disk
/// @param bitmap NAME of the `qemu:dirty-bitmap:NAME` that told what has changed
/// @param server host and port, or the path of the socket
/// @param description what the server says of the export
/// @param pulled when the copy was complete
public record DeltaSource(
    long sizeBytes,
    String bitmap,
    String server,
    String export,
    String description,
    Instant pulled) {

  /// From one point in time to a later one.
  record Span(DeltaPoint from, DeltaPoint to) {}

  /// From which point of the disk to which one, if the server is one of ours and the changes are
  /// those since a checkpoint.
  Optional<Span> span() {
    return SnapshotDescription.of(description)
        .flatMap(ours -> ours.since().map(from -> new Span(from, ours.shows())));
  }

  /// The disk's name, as a snapshot of ours tells it.
  Optional<String> disk() {
    return SnapshotDescription.of(description).map(SnapshotDescription::disk);
  }

  /// The instant that it shows, as a snapshot of ours tells it.
  Optional<Instant> frozen() {
    return SnapshotDescription.of(description).map(SnapshotDescription::frozen);
  }
}
