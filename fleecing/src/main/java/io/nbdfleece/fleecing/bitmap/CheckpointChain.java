// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import io.nbdfleece.fleecing.bitmap.BitmapContent.Still;
import io.nbdfleece.fleecing.bitmap.BitmapException.Reason;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The checkpoints of a disk: functions on its configuration.
///
/// ```
///   c1 ──stretch──▶ c2 ──stretch──▶ c3 ──stretch, recording──▶ now
///   dirty since c2 = stretch of c2 ∪ stretch of c3
/// ```
///
/// Any number of checkpoints cost one recording bitmap. A checkpoint that is deleted gives its
/// stretch to the one before it, so that whatever was dirty since an older one still is.
public final class CheckpointChain {
  private CheckpointChain() {}

  /// Starts a checkpoint: what was the last one stops recording, the new one begins. The last one
  /// may be inconsistent, and stays so: a full backup must be possible then.
  ///
  /// @param snapshot whose success it waits for
  public static DiskBitmaps start(
      DiskBitmaps bitmaps, String name, String snapshot, BitmapWork work) throws IOException {
    if (bitmaps.find(name).isPresent()) {
      throw new BitmapException(
          Reason.EXISTS,
          "disk "
              + bitmaps.disk()
              + " has a checkpoint or bitmap called "
              + ShownNames.of(name)
              + " already: choose another name, or delete it");
    }
    DiskBitmaps.requireName(name);
    int granularityBytes = granularityOf(bitmaps.sizeBytes());
    bitmaps.requireRoom(granularityBytes);
    boolean persistent = work.cannotPersist().isEmpty();
    DiskBitmaps stopped = bitmaps;
    List<TrackedBitmap> chain = bitmaps.checkpoints();
    if (!chain.isEmpty() && chain.getLast().recording()) {
      TrackedBitmap last = chain.getLast();
      stopped = bitmaps.with(last.with(stopped(last, work)));
    }
    return stopped.with(
        new TrackedBitmap(
            name,
            granularityBytes,
            work.fresh(granularityBytes, persistent),
            persistent,
            Optional.of(new TrackedBitmap.Checkpoint(Optional.of(snapshot))),
            work.now()));
  }

  private static BitmapContent stopped(TrackedBitmap last, BitmapWork work) throws IOException {
    try {
      return new Still(work.read(last));
    } catch (BitmapException inconsistent) {
      return DiskBitmaps.lost(last.content());
    }
  }

  /// The granularity of checkpoints of a disk of that size, in bytes.
  public static int granularityOf(long sizeBytes) {
    int granularityBytes = DiskBitmaps.GRANULARITY_DEFAULT_BYTES;
    while (sizeBytes / granularityBytes >= 1L << 31) {
      granularityBytes <<= 1;
    }
    return granularityBytes;
  }

  /// Deletes a checkpoint that stands.
  public static DiskBitmaps delete(DiskBitmaps bitmaps, String name, BitmapWork work)
      throws IOException {
    TrackedBitmap checkpoint = require(bitmaps, name);
    if (checkpoint.pendingSnapshot().isPresent()) {
      throw pending(checkpoint, bitmaps.disk());
    }
    return withoutStretch(bitmaps, checkpoint, work::read, work);
  }

  /// Deletes a checkpoint whether it stands or not, also when what it gives to the one before, or
  /// what that has, is in a file that cannot be read: else its snapshot could never end. The one
  /// before is inconsistent then.
  public static DiskBitmaps undo(DiskBitmaps bitmaps, String name, BitmapWork work)
      throws IOException {
    Reader reader =
        bitmap -> {
          try {
            return work.read(bitmap);
          } catch (IOException e) {
            throw BitmapException.inconsistent(bitmap.name());
          }
        };
    return withoutStretch(bitmaps, require(bitmaps, name), reader, work);
  }

  private interface Reader {
    GranuleSet read(TrackedBitmap bitmap) throws IOException;
  }

  private static DiskBitmaps withoutStretch(
      DiskBitmaps bitmaps, TrackedBitmap gone, Reader reader, BitmapWork work) throws IOException {
    List<TrackedBitmap> chain = bitmaps.checkpoints();
    int index = chain.indexOf(gone);
    DiskBitmaps rest = bitmaps.without(gone.name());
    if (index == 0) {
      return rest;
    }
    TrackedBitmap before = chain.get(index - 1);
    GranuleSet both;
    try {
      both = reader.read(before).union(reader.read(gone));
    } catch (BitmapException inconsistent) { // one of them
      return rest.with(before.with(DiskBitmaps.lost(before.content())));
    }
    return rest.with(
        gone.recording() ? DiskBitmaps.record(before, both, work) : before.with(new Still(both)));
  }

  /// The snapshot has succeeded: the checkpoint stands.
  public static DiskBitmaps confirm(DiskBitmaps bitmaps, String name) throws BitmapException {
    return bitmaps.with(require(bitmaps, name).confirmed());
  }

  /// What was written since a checkpoint that stands, or else what is dirty in the bitmap of that
  /// name.
  public static GranuleSet since(DiskBitmaps bitmaps, String name, BitmapWork work)
      throws IOException {
    TrackedBitmap from = requireSince(bitmaps, name);
    if (from.pendingSnapshot().isPresent()) {
      throw pending(from, bitmaps.disk());
    }
    return estimate(bitmaps, name, work);
  }

  /// The same, of a checkpoint that does not stand yet too.
  public static GranuleSet estimate(DiskBitmaps bitmaps, String name, BitmapWork work)
      throws IOException {
    TrackedBitmap from = requireSince(bitmaps, name);
    List<TrackedBitmap> stretches =
        from.checkpoint().isEmpty() ? List.of(from) : stretchesFrom(bitmaps, from);
    for (TrackedBitmap stretch : stretches) {
      if (stretch.inconsistent()) {
        throw new BitmapException(
            Reason.INCONSISTENT,
            "Bitmap '"
                + stretch.name()
                + "' is inconsistent and cannot be used: what was written to disk "
                + bitmaps.disk()
                + " since "
                + name
                + " is not known; take a full backup");
      }
    }
    // Only the last one may record; the others are read before anything is drained.
    List<TrackedBitmap> before = stretches.subList(0, stretches.size() - 1);
    if (before.isEmpty()) {
      return work.read(stretches.getLast());
    }
    return work.once(bitmaps, name, () -> union(before, work))
        .union(work.read(stretches.getLast()));
  }

  private static GranuleSet union(List<TrackedBitmap> bitmaps, BitmapWork work) throws IOException {
    GranuleSet all = work.read(bitmaps.getFirst());
    for (TrackedBitmap bitmap : bitmaps.subList(1, bitmaps.size())) {
      all = all.union(work.read(bitmap));
    }
    return all;
  }

  private static List<TrackedBitmap> stretchesFrom(DiskBitmaps bitmaps, TrackedBitmap from) {
    List<TrackedBitmap> chain = bitmaps.checkpoints();
    return chain.subList(chain.indexOf(from), chain.size());
  }

  private static TrackedBitmap requireSince(DiskBitmaps bitmaps, String name)
      throws BitmapException {
    return bitmaps
        .find(name)
        .orElseThrow(
            () ->
                new BitmapException(
                    Reason.NOT_FOUND,
                    "disk "
                        + bitmaps.disk()
                        + " has no checkpoint or bitmap called "
                        + ShownNames.of(name)
                        + " (it has: "
                        + names(bitmaps.all())
                        + "); take a full backup first"));
  }

  private static TrackedBitmap require(DiskBitmaps bitmaps, String name) throws BitmapException {
    return bitmaps
        .find(name)
        .filter(b -> b.checkpoint().isPresent())
        .orElseThrow(
            () ->
                new BitmapException(
                    Reason.NOT_FOUND,
                    "disk "
                        + bitmaps.disk()
                        + " has no checkpoint called "
                        + ShownNames.of(name)
                        + " (checkpoints: "
                        + names(bitmaps.checkpoints())
                        + ")"));
  }

  private static String names(List<TrackedBitmap> bitmaps) {
    return ShownNames.list(bitmaps.stream().map(TrackedBitmap::name).toList());
  }

  private static BitmapException pending(TrackedBitmap checkpoint, String disk) {
    String snapshot = checkpoint.pendingSnapshot().orElse("");
    return new BitmapException(
        Reason.BUSY,
        "checkpoint "
            + checkpoint.name()
            + " of disk "
            + disk
            + " waits for its backup: release snapshot "
            + snapshot
            + " first, with --success if the backup succeeded");
  }

  /// As front ends show them, oldest first. A stretch that cannot be read shows as inconsistent.
  public static List<CheckpointInfo> infos(DiskBitmaps bitmaps, BitmapWork work) {
    List<TrackedBitmap> chain = bitmaps.checkpoints();
    List<CheckpointInfo> infos = new ArrayList<>(chain.size());
    Optional<GranuleSet> since = Optional.empty();
    boolean known = true;
    for (int i = chain.size() - 1; i >= 0; i--) {
      TrackedBitmap stretch = chain.get(i);
      try {
        GranuleSet own = work.read(stretch);
        since = Optional.of(since.isPresent() ? own.union(since.get()) : own);
      } catch (IOException e) {
        known = false; // of this one and of all before it
      }
      infos.addFirst(
          new CheckpointInfo(
              bitmaps.disk(),
              stretch.name(),
              stretch.created(),
              i == 0 ? Optional.empty() : Optional.of(chain.get(i - 1).name()),
              stretch.granularityBytes(),
              DiskBitmaps.dirtyBytes(stretch),
              known ? since.map(GranuleSet::dirtyBytes).orElse(0L) : 0,
              stretch.pendingSnapshot(),
              stretch.persistent(),
              !known));
    }
    return infos;
  }
}
