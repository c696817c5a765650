// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.EventLoop;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/// Requests that were completed outside the event loop, on their way back to it. Lock-free; the
/// links are in the requests. However many are completed before the loop gets to it, it is woken
/// once, and their replies leave with one flush.
final class CompletionQueue implements Runnable {
  private final AtomicReference<@Nullable Request> newest = new AtomicReference<>();
  private final EventLoop loop;
  private final Transmission transmission;

  CompletionQueue(EventLoop loop, Transmission transmission) {
    this.loop = loop;
    this.transmission = transmission;
  }

  /// Any thread.
  void add(Request request) {
    Request before;
    do {
      before = newest.get();
      request.next = before;
    } while (!newest.compareAndSet(before, request));
    if (before == null) {
      try {
        loop.execute(this);
      } catch (RejectedExecutionException serverClosed) {
        runAfterLoop();
      }
    }
  }

  /// Settles what has come and will come when the loop has ended. One thread runs all of these.
  void runAfterLoop() {
    loop.terminationFuture().addListener(ended -> run());
  }

  @Override
  public void run() {
    Request request = newest.getAndSet(null);
    Request oldest = null;
    while (request != null) {
      Request before = request.next;
      request.next = oldest;
      oldest = request;
      request = before;
    }
    if (oldest != null) {
      transmission.settleAll(oldest);
    }
  }
}
