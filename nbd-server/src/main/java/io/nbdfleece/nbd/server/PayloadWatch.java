// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.time.Duration;
import java.util.concurrent.TimeUnit;

/// Drops a client that has begun a payload and does not go on with it, or hardly, when others wait
/// for the memory that it holds. Looks now and then while a payload is under way, and costs nothing
/// otherwise. Event loop only.
///
/// As long as nobody waits for the memory the client may take its time: a virtual machine that is
/// suspended in the middle of a write is no offender.
final class PayloadWatch implements Runnable {
  private static final int LOOKS_PER_DEADLINE = 8;

  private final Connection connection;
  private final Replies replies;
  private final long deadlineNanos;
  private final long progressBytes;
  private boolean running;
  private long progressNanos;
  private long payloadNumber;
  private int receivedBytes;

  PayloadWatch(Connection connection, Replies replies, Duration deadline) {
    this.connection = connection;
    this.replies = replies;
    this.deadlineNanos = deadline.toNanos();
    this.progressBytes = WireLimits.progressBytes(deadline);
  }

  /// A payload has been begun.
  void start() {
    // One that takes nothing which others could have may stay for ever.
    if (!running && replies.holdsCountedBytes()) {
      running = true;
      progressed(System.nanoTime());
      again();
    }
  }

  @Override
  public void run() {
    InputBuffer input = connection.input();
    if (!input.hasPayload()) {
      running = false;
      return;
    }
    long now = System.nanoTime();
    if (input.payloadNumber() != payloadNumber
        || input.payloadReceivedBytes() - receivedBytes >= progressBytes) {
      progressed(now);
    } else if (now - progressNanos >= deadlineNanos && replies.holdsWhatOthersAwait()) {
      running = false;
      connection.drop(
          "sends little or nothing of a payload since "
              + TimeUnit.NANOSECONDS.toMillis(now - progressNanos)
              + " ms, and others wait for memory, received="
              + input.payloadReceivedBytes());
      return;
    }
    again();
  }

  private void progressed(long now) {
    progressNanos = now;
    payloadNumber = connection.input().payloadNumber();
    receivedBytes = connection.input().payloadReceivedBytes();
  }

  private void again() {
    var unused =
        connection
            .channel()
            .eventLoop()
            .schedule(this, Math.max(1, deadlineNanos / LOOKS_PER_DEADLINE), TimeUnit.NANOSECONDS);
    assert unused != null;
  }
}
