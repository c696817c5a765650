// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.fleecing.FleecingEngine.TransactionResult;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/// The queue of transactions: one at a time, in the order they came, so that no two drains overlap
/// and each sees the configurations that the one before it left.
///
/// **Threads.** Any thread.
final class Transactions {
  private final TransactionRun.Surroundings around;
  private final ReentrantLock lock = new ReentrantLock();

  /// The end of the last one that came.
  @GuardedBy("lock")
  private CompletableFuture<?> last = CompletableFuture.completedFuture(null);

  @GuardedBy("lock")
  private boolean closed;

  Transactions(TransactionRun.Surroundings around) {
    this.around = around;
  }

  /// Carries a plan out when its turn comes.
  CompletableFuture<TransactionResult> submit(TransactionPlan plan) {
    CompletableFuture<TransactionResult> result = new CompletableFuture<>();
    CompletableFuture<Void> over = new CompletableFuture<>();
    CompletableFuture<?> turn;
    lock.lock();
    try {
      if (closed) {
        result.completeExceptionally(new IOException("the server is shutting down"));
        return result;
      }
      turn = last;
      last = over;
    } finally {
      lock.unlock();
    }
    var _ = turn.thenRun(() -> run(plan, result, over));
    return result;
  }

  private void run(
      TransactionPlan plan,
      CompletableFuture<TransactionResult> result,
      CompletableFuture<Void> over) {
    try {
      around.threads().workers().execute(() -> start(plan, result, over));
    } catch (RejectedExecutionException e) {
      end(null, new IOException("the server is shutting down", e), result, over);
    } catch (OutOfMemoryError e) {
      end(null, new IOException("no thread for a transaction", e), result, over);
    }
  }

  /// Whatever happens, the next one gets its turn.
  private void start(
      TransactionPlan plan,
      CompletableFuture<TransactionResult> result,
      CompletableFuture<Void> over) {
    CompletableFuture<TransactionResult> running;
    try {
      running = TransactionRun.start(plan, around);
    } catch (RuntimeException | Error e) {
      end(null, e, result, over);
      return;
    }
    var _ = running.whenComplete((outcome, error) -> end(outcome, error, result, over));
  }

  /// The next one's turn comes first: whoever hears of the result may wait for another transaction.
  private static void end(
      @Nullable TransactionResult outcome,
      @Nullable Throwable error,
      CompletableFuture<TransactionResult> result,
      CompletableFuture<Void> over) {
    over.complete(null);
    if (outcome != null) {
      result.complete(outcome);
    } else {
      result.completeExceptionally(
          error == null ? new IllegalStateException("a transaction without an outcome") : error);
    }
  }

  /// Waits until all that came before are over, and lets `then` run before any that comes later.
  <T> T alone(Exclusive<T> then) throws IOException {
    CompletableFuture<Void> mine = new CompletableFuture<>();
    CompletableFuture<?> turn;
    lock.lock();
    try {
      if (closed) {
        throw new IOException("the server is shutting down");
      }
      turn = last;
      last = mine;
    } finally {
      lock.unlock();
    }
    try {
      turn.join();
      return then.run();
    } finally {
      mine.complete(null);
    }
  }

  /// The same later, on a worker, without waiting here. Not at all when the server is shutting
  /// down.
  void aloneLater(Runnable then) {
    CompletableFuture<Void> mine = new CompletableFuture<>();
    CompletableFuture<?> turn;
    lock.lock();
    try {
      if (closed) {
        return;
      }
      turn = last;
      last = mine;
    } finally {
      lock.unlock();
    }
    var _ = turn.thenRun(() -> onWorker(then, mine));
  }

  private void onWorker(Runnable then, CompletableFuture<Void> over) {
    try {
      around
          .threads()
          .workers()
          .execute(
              () -> {
                try {
                  then.run();
                } finally {
                  over.complete(null);
                }
              });
    } catch (RejectedExecutionException | OutOfMemoryError e) {
      over.complete(null);
      throw e;
    }
  }

  /// Something that no transaction may overlap.
  interface Exclusive<T> {
    T run() throws IOException;
  }

  /// Takes no more, and returns when the last one is over.
  void close() {
    CompletableFuture<?> turn;
    lock.lock();
    try {
      closed = true;
      turn = last;
    } finally {
      lock.unlock();
    }
    turn.join();
  }
}
