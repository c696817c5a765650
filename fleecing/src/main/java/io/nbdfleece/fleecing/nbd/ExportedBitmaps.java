// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.fleecing.BitmapUse;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.bitmap.BitmapInfo;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;

/// What exports need of the bitmaps of an engine.
interface ExportedBitmaps {

  /// The bitmap, if there is one of that name.
  Optional<BitmapInfo> find(BitmapRef bitmap) throws IOException;

  /// The size of a view that has bitmaps; empty when there is none of that name.
  default OptionalLong viewBytes(String name) {
    return OptionalLong.empty();
  }

  /// See [FleecingEngine#useBitmap].
  BitmapUse use(BitmapRef bitmap) throws IOException;

  static ExportedBitmaps of(FleecingEngine engine) {
    return new ExportedBitmaps() {
      @Override
      public Optional<BitmapInfo> find(BitmapRef bitmap) throws IOException {
        return engine.bitmaps(bitmap.owner()).stream()
            .filter(info -> info.name().equals(bitmap.name()))
            .findFirst();
      }

      @Override
      public OptionalLong viewBytes(String name) {
        return engine.views().sizeBytes(name);
      }

      @Override
      public BitmapUse use(BitmapRef bitmap) throws IOException {
        return engine.useBitmap(bitmap);
      }
    };
  }
}
