// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/// What has been started, to be ended in reverse order. Each step runs even if those before it
/// failed. One thread.
final class Teardown implements AutoCloseable {
  private final Deque<Step> steps = new ArrayDeque<>();

  /// Ends one thing.
  @FunctionalInterface
  interface Step {
    void run() throws IOException;
  }

  void add(Step step) {
    steps.push(step);
  }

  @Override
  public void close() throws IOException {
    IOException failure = null;
    while (!steps.isEmpty()) {
      try {
        steps.pop().run();
      } catch (IOException | RuntimeException | Error e) {
        if (failure == null) {
          failure =
              e instanceof IOException known ? known : new IOException("internal error: " + e, e);
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
