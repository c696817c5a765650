// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/// One request as an [NbdClient] takes it, from its submission until its one end, over however many
/// connections that takes. Can be sent again at any time before that: all requests of the protocol
/// may be repeated as long as nobody has been told of their end.
///
/// @param <T> what the answer holds
final class RemoteRequest<T> {
  private final Sender<T> sender;
  private final Consumer<T> answered;
  private final Consumer<IOException> failed;
  private int sendCount;
  private boolean broke;
  private long firstBrokeNanos;

  interface Sender<T> {
    CompletableFuture<T> send(NbdClient client);
  }

  RemoteRequest(Sender<T> sender, Consumer<T> answered, Consumer<IOException> failed) {
    this.sender = sender;
    this.answered = answered;
    this.failed = failed;
  }

  CompletableFuture<T> send(NbdClient client) {
    sendCount++;
    return sender.send(client);
  }

  /// How often it was given to a connection.
  int sendCount() {
    return sendCount;
  }

  /// The connection that it was given to broke.
  ///
  /// @return whether it was given to so many, and the first one broke so long ago
  boolean brokeAgain(int count, Duration since) {
    long now = System.nanoTime();
    if (!broke) {
      broke = true;
      firstBrokeNanos = now;
    }
    return sendCount >= count && now - firstBrokeNanos >= since.toNanos();
  }

  void answered(T answer) {
    answered.accept(answer);
  }

  void failed(IOException cause) {
    failed.accept(cause);
  }
}
