// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.BitmapUse;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.util.Optional;

/// What exports need of the bitmaps of an engine.
interface ExportedBitmaps {

  /// The bitmap, if there is one of that name.
  Optional<BitmapInfo> find(BitmapRef bitmap) throws IOException;

  /// See [FleecingEngine#useBitmap].
  BitmapUse use(BitmapRef bitmap) throws IOException;

  static ExportedBitmaps of(FleecingEngine engine) {
    return new ExportedBitmaps() {
      @Override
      public Optional<BitmapInfo> find(BitmapRef bitmap) throws IOException {
        return engine.bitmaps(bitmap.disk()).stream()
            .filter(info -> info.name().equals(bitmap.name()))
            .findFirst();
      }

      @Override
      public BitmapUse use(BitmapRef bitmap) throws IOException {
        return engine.useBitmap(bitmap);
      }
    };
  }
}
