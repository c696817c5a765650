// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.network;

import org.jspecify.annotations.Nullable;

/// Remembers what went wrong in a place where an error that is thrown would be taken for one of the
/// product's.
final class Wrongs {
  private @Nullable AssertionError first;

  void add(String what) {
    if (first == null) {
      first = new AssertionError(what);
    }
  }

  void raise() {
    if (first != null) {
      throw first;
    }
  }
}
