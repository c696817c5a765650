// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapContent;
import io.nbdfleece.fleecing.bitmap.TrackedBitmap;
import io.nbdfleece.fleecing.state.BitmapRecord;
import io.nbdfleece.fleecing.state.BitmapRecord.Form;
import java.util.Collection;
import java.util.List;

/// Bitmaps as the state directory lists them.
final class BitmapRecords {
  private BitmapRecords() {}

  /// @param persistent whose bits are in files
  static List<BitmapRecord> of(Collection<TrackedBitmap> persistent) {
    return persistent.stream().map(BitmapRecords::of).toList();
  }

  static BitmapRecord of(TrackedBitmap bitmap) {
    return switch (bitmap.content()) {
      case BitmapContent.Live live -> record(bitmap, live.file().orElseThrow(), Form.LIVE);
      case BitmapContent.Sealed sealed -> record(bitmap, sealed.file(), Form.SEALED);
      case BitmapContent.Lost lost ->
          record(bitmap, lost.file(), lost.live() ? Form.LIVE : Form.SEALED);
      case BitmapContent.Still _ ->
          throw new IllegalStateException("bitmap " + bitmap.name() + " is not sealed");
    };
  }

  private static BitmapRecord record(TrackedBitmap bitmap, String file, Form form) {
    return new BitmapRecord(
        bitmap.name(),
        bitmap.granularityBytes(),
        file,
        form,
        form == Form.LIVE,
        bitmap.inconsistent(),
        bitmap.checkpoint().isPresent(),
        bitmap.pendingSnapshot(),
        bitmap.created());
  }
}
