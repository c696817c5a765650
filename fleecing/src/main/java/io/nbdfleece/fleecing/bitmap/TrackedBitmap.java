// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.time.Instant;
import java.util.Optional;

/// One bitmap of a disk, or one checkpoint's stretch, in a configuration.
///
/// @param persistent kept over a restart
/// @param checkpoint present for a checkpoint's stretch
public record TrackedBitmap(
    String name,
    int granularityBytes,
    BitmapContent content,
    boolean persistent,
    Optional<Checkpoint> checkpoint,
    Instant created) {

  /// What makes a bitmap the stretch of a checkpoint.
  ///
  /// @param pendingSnapshot the snapshot whose success it waits for
  public record Checkpoint(Optional<String> pendingSnapshot) {}

  /// Whether guest writes are marked in it.
  public boolean recording() {
    return content instanceof BitmapContent.Live;
  }

  /// Whether nobody knows what it holds.
  public boolean inconsistent() {
    return content instanceof BitmapContent.Lost
        || (content instanceof BitmapContent.Live live && !live.bits().isWhole());
  }

  /// The snapshot whose success it waits for.
  public Optional<String> pendingSnapshot() {
    return checkpoint.flatMap(Checkpoint::pendingSnapshot);
  }

  TrackedBitmap with(BitmapContent next) {
    return new TrackedBitmap(name, granularityBytes, next, persistent, checkpoint, created);
  }

  /// The same with its bits elsewhere.
  public TrackedBitmap movedTo(BitmapContent.Sealed place) {
    return with(place);
  }

  TrackedBitmap confirmed() {
    return new TrackedBitmap(
        name,
        granularityBytes,
        content,
        persistent,
        Optional.of(new Checkpoint(Optional.empty())),
        created);
  }
}
