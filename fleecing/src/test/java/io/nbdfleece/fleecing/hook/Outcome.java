// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.hook;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;

/// The end of an operation as a future.
public final class Outcome implements Completion {
  private final CompletableFuture<Void> future = new CompletableFuture<>();

  public CompletableFuture<Void> future() {
    return future;
  }

  /// For operations that end inside the call: a failure is thrown there and then.
  public static Completion mustSucceed() {
    return new Completion() {
      @Override
      public void succeeded() {
        // as expected
      }

      @Override
      public void failed(IOException error) {
        throw new AssertionError(error);
      }
    };
  }

  @Override
  public void succeeded() {
    future.complete(null);
  }

  @Override
  public void failed(IOException error) {
    future.completeExceptionally(error);
  }
}
