// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import java.util.concurrent.RejectedExecutionException;

/// What one connection has taken of the [FlightBudget]: at least what it has in flight beyond
/// [WireLimits#OWN_BYTES], which every connection has for itself, so that small requests never
/// touch what all connections share. Beyond that it takes and gives back in pieces. Event loop
/// only, except where stated.
///
/// While it waits it holds nothing but what its requests in flight need, and these are finished
/// without any more. So whoever is first in the queue gets what it waits for.
final class FlightShare implements FlightBudget.Waiter {
  /// Taken at once where there is enough.
  private static final long PIECE_BYTES_MAX = 256 << 10;

  /// What is taken and not needed, at most, while requests are in flight.
  private static final int SURPLUS_PIECES_MAX = 2;

  private final Connection connection;
  private final FlightBudget budget;
  private final long pieceBytes;
  private long takenBytes;
  private long flightBytes;
  private boolean waiting;
  private boolean closed;
  private long awaitedCostBytes;

  /// Written before the share is queued, or under the lock of the budget, where it is read.
  private volatile long awaitedBytes;

  FlightShare(Connection connection, FlightBudget budget, int connectionsMax) {
    this.connection = connection;
    this.budget = budget;
    // What all connections take and do not need always leaves room for one largest request.
    long spareBytes = Math.max(0, budget.bytesMax() - WireLimits.PAYLOAD_BYTES_MAX);
    pieceBytes = Math.min(PIECE_BYTES_MAX, spareBytes / SURPLUS_PIECES_MAX / connectionsMax);
  }

  private static long neededBytes(long flightBytes) {
    return Math.max(0, flightBytes - WireLimits.OWN_BYTES);
  }

  /// Whether `wantedBytes` may be in flight: they are covered, or can be covered now.
  boolean admits(long wantedBytes) {
    long missingBytes = neededBytes(wantedBytes) - takenBytes;
    return missingBytes <= 0 || takes(missingBytes);
  }

  private boolean takes(long missingBytes) {
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

  /// A request has been begun, and that many bytes are in flight now.
  void begun(long bytes) {
    if (waiting) {
      stopWaiting();
    }
    grow(bytes);
  }

  /// That many bytes are in flight now, admitted or not.
  void grow(long bytes) {
    flightBytes = bytes;
    long missingBytes = neededBytes(bytes) - takenBytes;
    if (missingBytes > 0 && !closed && !takes(missingBytes)) {
      budget.take(missingBytes);
      takenBytes += missingBytes;
    }
    if (waiting) {
      revise();
    }
  }

  /// No more than that many bytes are in flight now.
  void shrink(long bytes) {
    flightBytes = bytes;
    if (waiting) {
      revise();
      return;
    }
    long surplusBytes = takenBytes - neededBytes(bytes);
    if (surplusBytes > 0) {
      boolean all = bytes == 0 || budget.isContended();
      if (all || surplusBytes > SURPLUS_PIECES_MAX * pieceBytes) {
        giveBack(all ? surplusBytes : surplusBytes - pieceBytes);
      }
    }
  }

  private void giveBack(long bytes) {
    takenBytes -= bytes;
    budget.giveBack(bytes);
  }

  /// Has the connection go on when one more request of that cost would be admitted.
  void await(long costBytes) {
    if (!waiting && !closed) {
      waiting = true;
      awaitedCostBytes = costBytes;
      awaitedBytes = missingBytes();
      budget.queue(this);
      revise();
    }
  }

  /// What is missing for the awaited request when nothing is held in excess.
  private long missingBytes() {
    return neededBytes(flightBytes + awaitedCostBytes) - neededBytes(flightBytes);
  }

  /// While it waits: keeps nothing it does not need, and waits for what it needs now.
  private void revise() {
    if (missingBytes() != awaitedBytes) {
      // A grant that is on its way already is one of the old size, and is looked at when it comes.
      budget.revise(this, missingBytes());
    }
    long surplusBytes = takenBytes - neededBytes(flightBytes);
    if (surplusBytes > 0) {
      giveBack(surplusBytes);
    }
  }

  /// Nothing is awaited any more.
  void stopWaiting() {
    if (waiting && budget.leave(this)) {
      waiting = false;
    }
  }

  /// Whether it holds what others could have.
  boolean holdsCountedBytes() {
    return takenBytes > 0;
  }

  /// Whether others wait, and it has some of what they wait for.
  boolean holdsWhatOthersAwait() {
    return holdsCountedBytes() && budget.isAwaitedByOthers(this);
  }

  @Override
  public long awaitedBytes() {
    return awaitedBytes;
  }

  @Override
  public void awaits(long bytes) {
    awaitedBytes = bytes;
  }

  @Override
  public void granted() {
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
      stopWaiting();
      closed = true;
      giveBack(takenBytes);
    }
  }
}
