// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/// Group commit: one fdatasync serves all who asked before it began, and none who asked later; for
/// those the next one runs. The first failure is final, because Linux forgets the data that it
/// could not write and a later fdatasync would succeed over the loss.
final class DataSync implements Runnable {
  private static final System.Logger LOG = System.getLogger(DataSync.class.getName());

  private final BlockingCall sync;
  private final Executor workers;

  @GuardedBy("this")
  private List<Completion> waiting = new ArrayList<>();

  @GuardedBy("this")
  private boolean running;

  private volatile @Nullable IOException failure;

  DataSync(BlockingCall sync, Executor workers) {
    this.sync = sync;
    this.workers = workers;
  }

  void request(Completion done) {
    IOException failed = failure;
    if (failed != null) {
      done.failed(repeated(failed));
      return;
    }
    synchronized (this) {
      waiting.add(done);
      if (running) {
        return;
      }
      running = true;
    }
    try {
      workers.execute(this);
    } catch (RejectedExecutionException | OutOfMemoryError e) {
      List<Completion> refused;
      synchronized (this) {
        refused = takeAll();
        running = false;
      }
      finish(refused, new IOException("no I/O worker for a sync", e));
    }
  }

  /// The data that this file had to make durable may be lost.
  void fail(IOException error) {
    synchronized (this) {
      if (failure == null) {
        failure = error;
      }
    }
  }

  /// Throws when a sync has failed before.
  void check() throws IOException {
    IOException failed = failure;
    if (failed != null) {
      throw repeated(failed);
    }
  }

  /// One round on a worker thread; further rounds until nobody waits.
  @Override
  public void run() {
    while (true) {
      List<Completion> served;
      synchronized (this) {
        if (waiting.isEmpty()) {
          running = false;
          return;
        }
        served = takeAll();
      }
      IOException error = null;
      try {
        check();
        sync.run();
      } catch (IOException e) {
        fail(e);
        // Not as the system says it: "no room" would mean that nothing was lost.
        error = new IOException("sync failed, data may be lost: " + e.getMessage(), e);
      } catch (RuntimeException | Error e) {
        error = new IOException("internal error: " + e, e);
        fail(error);
      }
      finish(served, error);
    }
  }

  private synchronized List<Completion> takeAll() {
    List<Completion> taken = waiting;
    waiting = new ArrayList<>();
    return taken;
  }

  private static void finish(List<Completion> served, @Nullable IOException error) {
    for (Completion done : served) {
      try {
        if (error == null) {
          done.succeeded();
        } else {
          done.failed(error);
        }
      } catch (RuntimeException | Error e) {
        // One caller's fault must not keep the others waiting.
        LOG.log(System.Logger.Level.ERROR, "a completion failed", e);
      }
    }
  }

  private static IOException repeated(IOException first) {
    return new IOException(
        "an earlier sync failed, data may be lost: " + first.getMessage(), first);
  }
}
