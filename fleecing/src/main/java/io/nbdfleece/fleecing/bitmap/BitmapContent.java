// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.bitmap;

import java.util.Optional;

/// Where the bits of a bitmap are.
public sealed interface BitmapContent {

  /// In an array that guest writes are marked in.
  ///
  /// @param file name of the file behind it, for a persistent bitmap
  record Live(BitArray bits, Optional<String> file) implements BitmapContent {}

  /// In memory, and not changing any more.
  record Still(GranuleSet set) implements BitmapContent {}

  /// In a file, from which they are read when needed, and not changing any more.
  record Sealed(String file, long dirtyBytes) implements BitmapContent {}

  /// Not known: the bitmap is inconsistent.
  ///
  /// @param file what cannot be trusted
  /// @param live whether it was recorded into
  record Lost(String file, boolean live) implements BitmapContent {}
}
