// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.EventLoop;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// The reads of one connection that have begun and wait for their turn, in the order they came.
/// Used on the event loop only.
///
/// A read is started when the socket has taken the replies before it. So what is read leaves while
/// it is in the processor's cache, and the next one finds the same memory free; a client that asks
/// for a lot at once has little of it in memory.
///
/// Reads that wait for a device do not fill the socket. [#WAITING_COUNT] of them wait at the same
/// time, or as many more as have [#WAITING_BYTES] together: that keeps devices busy, and what they
/// give does not lie about for long. Those behind them wait, too, long or short.
///
/// And a connection is started so much for in one turn of the event loop, [#TURN_BYTES], however
/// fast its client takes it: a guest on the same loop waits for no more than that.
final class ReadQueue {
  static final int TURN_BYTES = 512 << 10;
  static final int WAITING_COUNT = 32;
  static final int WAITING_BYTES = 4 << 20;

  private final Transmission transmission;
  private final Replies replies;
  private final DirectReads directReads;
  private final CheckedExport export;
  private final EventLoop loop;
  private final RequestLog log;
  private final Runnable nextTurn = this::nextTurn;
  private @Nullable Request oldest;
  private @Nullable Request newest;
  private long turnBytes = TURN_BYTES;
  private int waitingCount;
  private long waitingBytes;
  private boolean nextTurnScheduled;

  ReadQueue(
      Transmission transmission,
      Replies replies,
      DirectReads directReads,
      CheckedExport export,
      EventLoop loop,
      RequestLog log) {
    this.transmission = transmission;
    this.replies = replies;
    this.directReads = directReads;
    this.export = export;
    this.loop = loop;
    this.log = log;
  }

  /// Starts a read that has begun, now or when it is its turn.
  void add(CommandRead read) {
    Request last = newest;
    if (last == null) {
      oldest = read;
    } else {
      last.next = read;
    }
    newest = read;
    start();
  }

  /// Starts what may be started.
  void start() {
    while (oldest instanceof CommandRead read && !replies.awaitsMark() && mayWait()) {
      if (turnBytes <= 0) {
        scheduleNextTurn();
        return;
      }
      oldest = read.next;
      read.next = null;
      if (oldest == null) {
        newest = null;
      }
      turnBytes -= read.lengthBytes;
      start(read);
    }
  }

  private boolean mayWait() {
    return waitingCount < WAITING_COUNT || waitingBytes < WAITING_BYTES;
  }

  private void start(CommandRead read) {
    try {
      if (directReads.answer(read)) {
        transmission.answered();
        return;
      }
      read.allocate();
    } catch (OutOfMemoryError noBuffer) {
      log.noMemory("the reply to a read", read.lengthBytes);
      transmission.refuseBegun(read, Verdict.NO_MEMORY);
      return;
    }
    waitingCount++;
    waitingBytes += read.lengthBytes;
    export.start(read);
  }

  /// A read that was started does not wait any more. In its place another one is started soon.
  /// Whatever it was completed by, nothing else need come to start it.
  void completed(CommandRead read) {
    boolean mayStart = mayWait();
    waitingCount--;
    waitingBytes -= read.lengthBytes;
    if (!mayStart && oldest != null) {
      scheduleNextTurn();
    }
  }

  /// The event loop has looked after others meanwhile, or is about to.
  void turnOver() {
    turnBytes = TURN_BYTES;
  }

  /* A task that is executed at once would run before the loop looks at its sockets again; one that
   * is due at once runs after that. */
  private void scheduleNextTurn() {
    if (!nextTurnScheduled) {
      nextTurnScheduled = true;
      Future<?> _ = loop.schedule(nextTurn, 0, TimeUnit.NANOSECONDS);
    }
  }

  private void nextTurn() {
    nextTurnScheduled = false;
    turnOver();
    transmission.startReads();
  }

  /// The connection is gone: how many will never be started.
  int drop() {
    int dropped = 0;
    for (Request read = oldest; read != null; read = read.next) {
      dropped++;
    }
    oldest = null;
    newest = null;
    return dropped;
  }
}
