// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import io.nbdfleece.cli.base.Messages;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// A full copy of an export, and what is noted beside it for the deltas to come. Used by one
/// thread.
public final class FullImage {
  private static final Logger LOG = System.getLogger("nbdfleece.pull");

  private final Path file;
  private final Optional<ImagePoint> point;

  /// @param description what the server says of the export
  public FullImage(Path file, String description) {
    this.file = file;
    this.point =
        SnapshotDescription.of(description)
            .filter(ours -> ours.starts() && ours.whole())
            .map(ours -> new ImagePoint(List.of(ours.shows()), Optional.empty()));
  }

  /// Fails when what is noted of an older file of that name cannot be removed.
  public static void check(Path file) throws IOException {
    ImagePoint.checkRemovable(file);
  }

  /// To be called before the copy gets its name: what was noted of an older file of that name does
  /// not hold for it.
  public void forget() throws IOException {
    ImagePoint.remove(file);
  }

  /// Notes which point in time it shows, if it is one that deltas can begin at. The copy is
  /// complete already, so a failure costs `apply` a check, and no more.
  public void note() {
    if (point.isEmpty()) {
      return;
    }
    try {
      point.get().write(file);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0}: apply will not know what it shows: {1}", file, Messages.of(e));
    }
  }
}
