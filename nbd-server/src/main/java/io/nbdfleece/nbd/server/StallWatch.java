// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.ChannelOutboundBuffer;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Drops a client that leaves its replies in the socket, or keeps encryption from sending them.
/// While others wait for memory that the client holds, a byte now and then is not enough. Looks now
/// and then while replies wait, and costs nothing otherwise. Event loop only.
///
/// Looks are counted, and not what the clock says: when this process stood still (SIGSTOP) it was
/// not the client that did nothing.
final class StallWatch implements Runnable {
  private static final int LOOKS_PER_DEADLINE = 8;

  private final Connection connection;
  private final Replies replies;
  private final long deadlineNanos;
  private final long progressBytes;
  private boolean running;
  private long progressNanos;
  private int looksWithoutProgress;
  private @Nullable Object message;
  private long messageProgress;
  private long pendingBytes;
  private int looksTooSlow;
  private long takenBytes;

  StallWatch(Connection connection, Replies replies, Duration deadline) {
    this.connection = connection;
    this.replies = replies;
    this.deadlineNanos = deadline.toNanos();
    this.progressBytes = WireLimits.progressBytes(deadline);
  }

  /// Replies wait.
  void start() {
    if (!running) {
      running = true;
      progressNanos = System.nanoTime();
      looksWithoutProgress = 0;
      looksTooSlow = 0;
      takenBytes = Long.MAX_VALUE; // until the first look
      message = null;
      again();
    }
  }

  @Override
  public void run() {
    ChannelOutboundBuffer outbound = connection.channel().unsafe().outboundBuffer();
    if (outbound == null || (outbound.isEmpty() && !replies.awaitsMark())) {
      running = false;
      message = null;
      return;
    }
    long now = System.nanoTime();
    if (hasMoved(outbound)) {
      progressNanos = now;
      looksWithoutProgress = 0;
    } else if (++looksWithoutProgress >= LOOKS_PER_DEADLINE) {
      running = false;
      connection.drop(
          "takes no replies since "
              + TimeUnit.NANOSECONDS.toMillis(now - progressNanos)
              + " ms, waiting="
              + outbound.totalPendingWriteBytes());
      return;
    }
    if (isQuickEnough(outbound)) {
      looksTooSlow = 0;
      takenBytes = replies.takenBytes(outbound);
    } else if (++looksTooSlow >= LOOKS_PER_DEADLINE) {
      running = false;
      connection.drop(
          "takes replies too slowly, and others wait for memory, waiting="
              + outbound.totalPendingWriteBytes());
      return;
    }
    again();
  }

  private boolean isQuickEnough(ChannelOutboundBuffer outbound) {
    return takenBytes == Long.MAX_VALUE
        || replies.takenBytes(outbound) - takenBytes >= progressBytes
        || !replies.holdsWhatOthersAwait();
  }

  /// Whether the socket has taken anything since the last look.
  @SuppressWarnings("ReferenceEquality") // another message, not one with other bytes
  private boolean hasMoved(ChannelOutboundBuffer outbound) {
    Object current = outbound.current();
    boolean moved =
        current != message
            || outbound.currentProgress() != messageProgress
            || outbound.totalPendingWriteBytes() < pendingBytes;
    message = current;
    messageProgress = outbound.currentProgress();
    pendingBytes = outbound.totalPendingWriteBytes();
    return moved;
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
