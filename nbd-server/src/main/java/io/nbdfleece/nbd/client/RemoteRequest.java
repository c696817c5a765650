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
  private long firstSentNanos;

  interface Sender<T> {
    CompletableFuture<T> send(NbdClient client);
  }

  RemoteRequest(Sender<T> sender, Consumer<T> answered, Consumer<IOException> failed) {
    this.sender = sender;
    this.answered = answered;
    this.failed = failed;
  }

  CompletableFuture<T> send(NbdClient client) {
    if (sendCount++ == 0) {
      firstSentNanos = System.nanoTime();
    }
    return sender.send(client);
  }

  /// How often it was given to a connection.
  int sendCount() {
    return sendCount;
  }

  /// Whether it was given to so many, the first time so long ago.
  boolean wasTried(int count, Duration since) {
    return sendCount >= count && System.nanoTime() - firstSentNanos >= since.toNanos();
  }

  void answered(T answer) {
    answered.accept(answer);
  }

  void failed(IOException cause) {
    failed.accept(cause);
  }
}
