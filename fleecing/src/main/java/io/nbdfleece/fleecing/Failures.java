// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// What went wrong while several things were closed, each whatever became of the others. One
/// thread.
final class Failures {
  private @Nullable IOException first;

  /// Something to close.
  interface Closing {
    void run() throws IOException;
  }

  void run(Closing closing) {
    try {
      closing.run();
    } catch (IOException e) {
      add(e);
    } catch (RuntimeException | Error e) {
      add(new IOException("internal error: " + e, e));
    }
  }

  private void add(IOException failure) {
    if (first == null) {
      first = failure;
    } else {
      first.addSuppressed(failure);
    }
  }

  /// Throws the first one, with the others as suppressed.
  void rethrow() throws IOException {
    if (first != null) {
      throw first;
    }
  }
}
