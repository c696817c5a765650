// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.BitmapUse;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.Snapshot.Part.Dirty;
import io.nbdfleece.fleecing.bitmap.BitmapException;
import io.nbdfleece.fleecing.bitmap.BitmapException.Reason;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// What an export takes into use: its bitmaps, and its disk. One thread, and then another one that
/// gives all of it back.
final class BitmapsInUse {
  private final FleecingEngine engine;
  private final ExportedBitmaps bitmaps;
  private final List<Runnable> given = new ArrayList<>();
  private final List<ShownContexts.Bitmap> shown = new ArrayList<>();

  BitmapsInUse(FleecingEngine engine, ExportedBitmaps bitmaps) {
    this.engine = engine;
    this.bitmaps = bitmaps;
  }

  /// Keeps the disk from being removed.
  void hold(ServedDisk disk) throws IOException {
    disk.users().held();
    given.add(disk.users()::released);
  }

  /// Takes all those that the export is to show into use. When it fails, what has been taken is
  /// still to be given back.
  ///
  /// @param frozen comes with the snapshot and needs no taking; a bitmap of the exported view that
  ///   is called like it is shown instead
  void take(NamedExport export, ServedDisk disk, Optional<Dirty> frozen) throws IOException {
    Set<String> names = new HashSet<>();
    frozen
        .map(Dirty::exportedAs)
        .filter(name -> !export.bitmaps().contains(new BitmapRef(export.node(), name)))
        .ifPresent(names::add);
    for (BitmapRef ref : export.bitmaps()) {
      boolean ofDisk = ref.owner().equals(disk.config().name());
      if (ofDisk && frozen.filter(dirty -> dirty.exportedAs().equals(ref.name())).isPresent()) {
        continue;
      }
      if (!names.add(ref.name())) {
        throw new BitmapException(
            Reason.EXISTS,
            "export '" + export.id() + "': two bitmaps are called '" + ref.name() + "'");
      }
      take(ref, export, disk);
    }
  }

  private void take(BitmapRef ref, NamedExport export, ServedDisk disk) throws IOException {
    boolean ofView = bitmaps.viewBytes(ref.owner()).isPresent();
    boolean ofExported =
        ref.owner().equals(disk.config().name()) || ref.owner().equals(export.node());
    BitmapInfo info =
        bitmaps
            .find(ref)
            .orElseThrow(
                () ->
                    new BitmapException(
                        Reason.NOT_FOUND,
                        ofExported
                            ? "Bitmap '" + ref.name() + "' is not found"
                            : "Dirty bitmap '" + ref.name() + "' not found"));
    if (!ofExported && sizeOf(ref) != disk.sizeBytes()) {
      throw new BitmapException(
          Reason.INVALID,
          "Bitmap '" + ref.name() + "' is of " + ref.owner() + ", which has another size");
    }
    BitmapUse use = bitmaps.use(ref); // first: busy and inconsistent are said before enabled
    given.add(use::close);
    if (info.recording()
        && !export.writable()
        && (ofView || disk.config().access() == DiskConfig.Access.READ_WRITE)) {
      throw new BitmapException(
          Reason.INVALID, "Enabled bitmap '" + ref.name() + "' incompatible with readonly export");
    }
    shown.add(new ShownContexts.Bitmap(ref.name(), use::current, true));
  }

  private long sizeOf(BitmapRef ref) {
    return engine
        .disk(ref.owner())
        .map(ServedDisk::sizeBytes)
        .orElse(bitmaps.viewBytes(ref.owner()).orElse(-1));
  }

  /// To be called once, when the export is gone.
  void giveBack() {
    given.forEach(Runnable::run);
  }

  List<ShownContexts.Bitmap> shown() {
    return shown;
  }
}
