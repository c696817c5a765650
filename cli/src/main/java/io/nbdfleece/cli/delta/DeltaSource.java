// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import java.time.DateTimeException;
import java.time.Instant;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Where the changes come from.
///
/// @param sizeBytes of the disk
/// @param bitmap NAME of the `qemu:dirty-bitmap:NAME` that told what has changed
/// @param server host and port, or the path of the socket
/// @param description what the server says of the export; that of a snapshot of ours names the disk
///   and the instant that it shows
/// @param pulled when the copy was complete
public record DeltaSource(
    long sizeBytes,
    String bitmap,
    String server,
    String export,
    String description,
    Instant pulled) {
  private static final Pattern OURS =
      Pattern.compile("snapshot \\S+ of disk (\\S+), frozen ([0-9T:.Z-]+)");

  /// The disk's name, as a snapshot of ours tells it.
  public Optional<String> disk() {
    Matcher ours = OURS.matcher(description);
    return ours.find() ? Optional.of(ours.group(1)) : Optional.empty();
  }

  /// The instant that it shows, as a snapshot of ours tells it.
  public Optional<Instant> frozen() {
    Matcher ours = OURS.matcher(description);
    try {
      return ours.find() ? Optional.of(Instant.parse(ours.group(2))) : Optional.empty();
    } catch (DateTimeException e) {
      // Somebody else's description that looks like ours: there is no instant to compare then.
      return Optional.empty();
    }
  }
}
