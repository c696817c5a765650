// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.fleecing.FleecingEngine.TransactionResult;
import io.nbdfleece.fleecing.TransactionAction;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/// Waits for the engine, and fails as it does.
final class EngineAnswer {
  private EngineAnswer() {}

  /// Carries out all of the actions or none.
  static TransactionResult transact(ControlTarget target, List<TransactionAction> actions)
      throws IOException {
    return await("transaction", target.transact(actions));
  }

  /// What the future is completed with.
  static <T> T await(String what, CompletableFuture<T> future) throws IOException {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw failure(what, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(what + ": interrupted", e);
    }
  }

  /// The failure as it was before it went through a future; wrong arguments are thrown.
  static IOException failure(String what, ExecutionException error) {
    return switch (error.getCause()) {
      case IOException cause -> cause;
      case IllegalArgumentException cause -> throw cause;
      case null, default -> new IOException(what + ": " + error.getCause(), error);
    };
  }
}
