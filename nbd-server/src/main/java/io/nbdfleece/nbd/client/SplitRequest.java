// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.nbdfleece.nbd.Completion;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/// A request too long for the server, as several shorter ones, a few at a time. Succeeds when all
/// have, fails with the first failure, and either way only when none is in flight any more, so the
/// caller's buffer is its own again. Thread-safe.
final class SplitRequest implements Completion {
  private static final int IN_FLIGHT_MAX = 16;

  private final long lengthBytes;
  private final long pieceBytesMax;
  private final PieceStart pieces;
  private final Completion done;

  @GuardedBy("this")
  private long startedBytes;

  @GuardedBy("this")
  private int inFlight;

  @GuardedBy("this")
  private @Nullable IOException failure;

  interface PieceStart {
    /// Starts the piece at `startBytes` from the beginning of the request.
    void start(long startBytes, long lengthBytes, Completion done);
  }

  private SplitRequest(long lengthBytes, long pieceBytesMax, PieceStart pieces, Completion done) {
    this.lengthBytes = lengthBytes;
    this.pieceBytesMax = pieceBytesMax;
    this.pieces = pieces;
    this.done = done;
  }

  /// Does it in one piece if that is short enough.
  static void start(long lengthBytes, long pieceBytesMax, PieceStart pieces, Completion done) {
    if (lengthBytes <= pieceBytesMax) {
      pieces.start(0, lengthBytes, done);
    } else {
      new SplitRequest(lengthBytes, pieceBytesMax, pieces, done).startMore();
    }
  }

  private void startMore() {
    while (true) {
      long start;
      long length;
      synchronized (this) {
        if (failure != null || startedBytes == lengthBytes || inFlight == IN_FLIGHT_MAX) {
          return;
        }
        start = startedBytes;
        length = Math.min(pieceBytesMax, lengthBytes - start);
        startedBytes += length;
        inFlight++;
      }
      pieces.start(start, length, this);
    }
  }

  @Override
  public void succeeded() {
    boolean ended;
    IOException cause;
    synchronized (this) {
      inFlight--;
      cause = failure;
      ended = inFlight == 0 && (cause != null || startedBytes == lengthBytes);
    }
    if (!ended) {
      startMore();
    } else if (cause == null) {
      done.succeeded();
    } else {
      done.failed(cause);
    }
  }

  @Override
  public void failed(IOException error) {
    IOException cause;
    boolean ended;
    synchronized (this) {
      inFlight--;
      if (failure == null) {
        failure = error;
      }
      cause = failure;
      ended = inFlight == 0;
    }
    if (ended) {
      done.failed(cause);
    }
  }
}
