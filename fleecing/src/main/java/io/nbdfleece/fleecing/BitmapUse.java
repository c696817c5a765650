// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.GranuleSet;

/// A bitmap in use, by an export for example: busy until closed.
public interface BitmapUse extends AutoCloseable {

  /// What is dirty in it now.
  GranuleSet current();

  @Override
  void close();
}
