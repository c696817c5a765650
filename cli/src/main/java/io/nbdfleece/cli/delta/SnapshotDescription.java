// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import java.time.DateTimeException;
import java.time.Instant;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// What the description of an export says, if it is that of a snapshot of ours:
///
/// ```
///   snapshot inc1 of disk vda, frozen T, since c1 (T), starts c2 (T), zero outside
/// ```
///
/// @param since the checkpoint that its bitmap starts at
/// @param shows the checkpoint that it starts, or else the snapshot
/// @param starts whether it starts a checkpoint
/// @param whole whether reading all of it gives the disk
record SnapshotDescription(
    String disk,
    Instant frozen,
    Optional<DeltaPoint> since,
    DeltaPoint shows,
    boolean starts,
    boolean whole) {
  private static final String INSTANT = "(\\d{4}-[0-9T:.-]+Z)";
  private static final Pattern OURS =
      Pattern.compile(
          "snapshot (.+) of disk (.+?), frozen "
              + INSTANT
              + "(?:, since (.+?) \\("
              + INSTANT
              + "\\))?(?:, starts (.+?) \\("
              + INSTANT
              + "\\))?(, (?:zero|error) outside)?");

  /// Empty for somebody else's description.
  static Optional<SnapshotDescription> of(String description) {
    Matcher ours = OURS.matcher(description);
    if (!ours.matches()) {
      return Optional.empty();
    }
    String disk = ours.group(2);
    try {
      Instant frozen = Instant.parse(ours.group(3));
      Optional<DeltaPoint> started = point(disk, ours.group(6), ours.group(7));
      return Optional.of(
          new SnapshotDescription(
              disk,
              frozen,
              point(disk, ours.group(4), ours.group(5)),
              started.orElse(new DeltaPoint(disk, "snapshot " + ours.group(1), frozen)),
              started.isPresent(),
              ours.group(8) == null));
    } catch (DateTimeException e) {
      // Somebody else's description that looks like ours.
      return Optional.empty();
    }
  }

  private static Optional<DeltaPoint> point(
      String disk, @Nullable String name, @Nullable String instant) {
    return name == null || instant == null
        ? Optional.empty()
        : Optional.of(new DeltaPoint(disk, "checkpoint " + name, Instant.parse(instant)));
  }
}
