// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.util.concurrent.RejectedExecutionException;

/// What one connection has taken of the [FlightBudget]: at least what it has in flight. It takes
/// and gives back in larger pieces, and keeps a little when it has nothing in flight, so that
/// single small requests never touch what all connections share. Event loop only, except where
/// stated.
final class FlightShare {
  /// Taken at once where there is enough.
  private static final long PIECE_BYTES_MAX = 256 << 10;

  /// Pieces that the budget is worth at least, so that a small one is not taken up by few.
  private static final long PIECES_MIN = 64;

  /// All idle connections together keep at most this part of the budget.
  private static final long KEPT_PARTS = 4;

  private final Connection connection;
  private final FlightBudget budget;
  private final long pieceBytes;
  private final long keptBytes;
  private long takenBytes;
  private long flightBytes;
  private boolean waiting;
  private boolean closed;

  /// Written before the share is queued, read under the lock of the budget.
  private volatile long awaitedBytes;

  FlightShare(Connection connection, FlightBudget budget, int connectionsMax) {
    this.connection = connection;
    this.budget = budget;
    pieceBytes = Math.min(PIECE_BYTES_MAX, budget.bytesMax() / PIECES_MIN);
    keptBytes = Math.min(pieceBytes, budget.bytesMax() / KEPT_PARTS / connectionsMax);
  }

  /// Whether the share is `wantedBytes`, or can be made so now.
  boolean admits(long wantedBytes) {
    long missingBytes = wantedBytes - takenBytes;
    if (missingBytes <= 0) {
      return true;
    }
    if (missingBytes < pieceBytes && budget.tryTake(pieceBytes)) {
      takenBytes += pieceBytes;
      return true;
    }
    if (budget.tryTake(missingBytes)) {
      takenBytes += missingBytes;
      return true;
    }
    return false;
  }

  /// That many bytes are in flight now, admitted or not.
  void grow(long bytes) {
    flightBytes = bytes;
    if (waiting) {
      stopWaiting();
    }
    if (!closed && !admits(bytes)) {
      budget.take(bytes - takenBytes);
      takenBytes = bytes;
    }
  }

  /// No more than that many bytes are in flight now.
  void shrink(long bytes) {
    flightBytes = bytes;
    long surplusBytes = takenBytes - bytes;
    // One that waits needs it itself, and is looked at next.
    if (!waiting && (bytes == 0 ? surplusBytes > keptBytes : surplusBytes > 2 * pieceBytes)) {
      long leftBytes = bytes == 0 ? keptBytes : bytes + pieceBytes;
      long freeBytes = takenBytes - leftBytes;
      takenBytes = leftBytes;
      budget.giveBack(freeBytes);
    }
  }

  /// Has the connection go on when `wantedBytes` would be admitted.
  void await(long wantedBytes) {
    if (!waiting && !closed) {
      waiting = true;
      awaitedBytes = wantedBytes - takenBytes;
      budget.queue(this);
    }
  }

  private void stopWaiting() {
    if (budget.leave(this)) {
      waiting = false;
    }
  }

  /// Of the budget. Any thread, under its lock.
  long awaitedBytes() {
    return awaitedBytes;
  }

  /// The budget has taken [#awaitedBytes] for this connection. Any thread.
  void granted() {
    try {
      connection.channel().eventLoop().execute(this::useGrant);
    } catch (RejectedExecutionException serverClosed) {
      budget.giveBack(awaitedBytes);
    }
  }

  private void useGrant() {
    waiting = false;
    if (closed) {
      budget.giveBack(awaitedBytes);
    } else {
      takenBytes += awaitedBytes;
      connection.goOn();
      shrink(flightBytes);
    }
  }

  /// Gives everything back.
  void close() {
    if (!closed) {
      if (waiting) {
        stopWaiting();
      }
      closed = true;
      long bytes = takenBytes;
      takenBytes = 0;
      budget.giveBack(bytes);
    }
  }
}
