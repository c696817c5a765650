// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportClient;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/// One of [NamedExports] with its clients. Any thread.
///
/// ```
///   OPEN ──close──▶ SHUTTING DOWN (no new clients) ──last client gone──▶ GONE
/// ```
final class AddedExport {
  private final NamedExport description;
  private final Export served;
  private final Runnable giveBack;
  private final Consumer<AddedExport> onGone;
  private final CompletableFuture<Void> gone = new CompletableFuture<>();
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final List<ExportClient> clients = new ArrayList<>();

  /// Completed, and made anew, each time the last client leaves.
  @GuardedBy("lock")
  private CompletableFuture<Void> empty = new CompletableFuture<>();

  @GuardedBy("lock")
  private boolean shuttingDown;

  /// @param giveBack run at the end
  /// @param onGone called once, when the last client has left after [#close]
  AddedExport(
      NamedExport description, Export served, Runnable giveBack, Consumer<AddedExport> onGone) {
    this.description = description;
    this.served = served;
    this.giveBack = giveBack;
    this.onGone = onGone;
  }

  NamedExport description() {
    return description;
  }

  /// For one connection.
  Export forClient() {
    return new ClientExport(served, this::entered, this::left);
  }

  /// Completes after `onGone`.
  CompletableFuture<Void> gone() {
    return gone;
  }

  boolean isShuttingDown() {
    lock.lock();
    try {
      return shuttingDown;
    } finally {
      lock.unlock();
    }
  }

  /// Lets nobody in any more and disconnects its clients.
  ///
  /// @param evenWithClients otherwise it does so only when there are none
  /// @return how it went
  Closing close(boolean evenWithClients) {
    List<ExportClient> toDisconnect;
    lock.lock();
    try {
      if (shuttingDown) {
        return Closing.WAS_CLOSING;
      }
      if (!evenWithClients && !clients.isEmpty()) {
        return Closing.HAS_CLIENTS;
      }
      shuttingDown = true;
      toDisconnect = List.copyOf(clients);
    } finally {
      lock.unlock();
    }
    if (toDisconnect.isEmpty()) {
      end();
    } else {
      toDisconnect.forEach(ExportClient::disconnect);
    }
    return Closing.BEGUN;
  }

  /// Completes when no client is there.
  CompletableFuture<Void> withoutClients() {
    lock.lock();
    try {
      return clients.isEmpty() ? CompletableFuture.completedFuture(null) : empty.copy();
    } finally {
      lock.unlock();
    }
  }

  /// What became of [#close].
  enum Closing {
    BEGUN,
    HAS_CLIENTS,
    WAS_CLOSING
  }

  /// Whether it is let in: not who found the export just before it was taken away.
  private boolean entered(ExportClient client) {
    lock.lock();
    try {
      return !shuttingDown && clients.add(client);
    } finally {
      lock.unlock();
    }
  }

  private void left(ExportClient client) {
    boolean last;
    CompletableFuture<Void> nowEmpty = new CompletableFuture<>();
    lock.lock();
    try {
      boolean none = clients.remove(client) && clients.isEmpty();
      last = none && shuttingDown;
      if (none) {
        nowEmpty = empty;
        empty = new CompletableFuture<>();
      }
    } finally {
      lock.unlock();
    }
    nowEmpty.complete(null);
    if (last) {
      end();
    }
  }

  private void end() {
    giveBack.run();
    onGone.accept(this);
    gone.complete(null);
  }
}
