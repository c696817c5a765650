// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.DirtyBits;

/// A bitmap in use, by an export for example: busy until closed.
public interface BitmapUse extends AutoCloseable {

  /// What is dirty in it. Of one that records these are the bits that writes mark, so they change.
  ///
  /// @throws java.io.UncheckedIOException when it is inconsistent, or cannot be read
  DirtyBits current();

  @Override
  void close();
}
