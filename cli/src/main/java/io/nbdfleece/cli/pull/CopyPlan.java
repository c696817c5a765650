// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.nbd.Extent;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/// What of an export to read and what is known to be zero, in order of offset, as far as the server
/// has told, without what is done already. Used by one thread.
final class CopyPlan {
  private final long sizeBytes;
  private final DoneRanges done;
  private final Deque<Piece> pending = new ArrayDeque<>();
  private final TreeMap<Long, Piece> again = new TreeMap<>();
  private long plannedBytes;

  /// @param done what need not be copied; does not change any more
  CopyPlan(long sizeBytes, DoneRanges done) {
    this.sizeBytes = sizeBytes;
    this.done = done;
    this.plannedBytes = done.endOfDone(0);
  }

  /// Takes what the server said from [#plannedBytes] on. Extents may reach past the end.
  void add(List<Extent> extents) {
    long at = plannedBytes;
    for (Extent extent : extents) {
      long lengthBytes = Math.min(extent.lengthBytes(), sizeBytes - at);
      add(at, at + lengthBytes, (extent.flags() & Extent.ZERO) != 0);
      at += lengthBytes;
    }
    plannedBytes = done.endOfDone(at);
  }

  /// All of the export has to be read: the server does not tell.
  void addAllAsData() {
    add(plannedBytes, sizeBytes, false);
    plannedBytes = sizeBytes;
  }

  private void add(long startBytes, long endBytes, boolean zero) {
    long at = done.endOfDone(startBytes);
    while (at < endBytes) {
      long end = done.nextDone(at, endBytes);
      append(at, end - at, zero);
      at = done.endOfDone(end);
    }
  }

  private void append(long offsetBytes, long lengthBytes, boolean zero) {
    Piece last = pending.peekLast();
    if (last != null
        && last.zero() == zero
        && last.offsetBytes() + last.lengthBytes() == offsetBytes) {
      pending.removeLast();
      pending.addLast(new Piece(last.offsetBytes(), last.lengthBytes() + lengthBytes, zero));
    } else {
      pending.addLast(new Piece(offsetBytes, lengthBytes, zero));
    }
  }

  /// A piece of data that [#next] gave did not come: it will be the next one again.
  void giveBack(Piece piece) {
    again.put(piece.offsetBytes(), piece);
  }

  /// The next piece; data is cut to `dataBytesMax` and, so that requests stay aligned, at multiples
  /// of it.
  Optional<Piece> next(int dataBytesMax) {
    if (!again.isEmpty()) {
      return Optional.of(again.pollFirstEntry().getValue());
    }
    Piece piece = pending.pollFirst();
    if (piece == null || piece.zero()) {
      return Optional.ofNullable(piece);
    }
    long toBoundary = dataBytesMax - piece.offsetBytes() % dataBytesMax;
    if (piece.lengthBytes() <= toBoundary) {
      return Optional.of(piece);
    }
    pending.addFirst(
        new Piece(piece.offsetBytes() + toBoundary, piece.lengthBytes() - toBoundary, false));
    return Optional.of(new Piece(piece.offsetBytes(), toBoundary, false));
  }

  /// How far the server's answers reach, and what is done behind them.
  long plannedBytes() {
    return plannedBytes;
  }

  /// Whether the server's answers reach the end.
  boolean isComplete() {
    return plannedBytes == sizeBytes;
  }

  /// Pieces at hand.
  int pendingCount() {
    return pending.size();
  }

  /// A range to read, or one that is zero.
  ///
  /// @param lengthBytes at least 1
  record Piece(long offsetBytes, long lengthBytes, boolean zero) {}
}
