// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.nbd.Extent;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;

/// What of an export to read and what is known to be zero, in order of offset, as far as the server
/// has told. Used by one thread.
final class CopyPlan {
  private final long sizeBytes;
  private final Deque<Piece> pending = new ArrayDeque<>();
  private long plannedBytes;

  CopyPlan(long sizeBytes) {
    this.sizeBytes = sizeBytes;
  }

  /// Takes what the server said from [#plannedBytes] on. Extents may reach past the end.
  void add(List<Extent> extents) {
    for (Extent extent : extents) {
      long lengthBytes = Math.min(extent.lengthBytes(), sizeBytes - plannedBytes);
      if (lengthBytes > 0) {
        add(lengthBytes, (extent.flags() & Extent.ZERO) != 0);
      }
    }
  }

  /// All of the export has to be read: the server does not tell.
  void addAllAsData() {
    if (plannedBytes < sizeBytes) {
      add(sizeBytes - plannedBytes, false);
    }
  }

  private void add(long lengthBytes, boolean zero) {
    Piece last = pending.peekLast();
    if (last != null && last.zero() == zero) {
      pending.removeLast();
      pending.addLast(new Piece(last.offsetBytes(), last.lengthBytes() + lengthBytes, zero));
    } else {
      pending.addLast(new Piece(plannedBytes, lengthBytes, zero));
    }
    plannedBytes += lengthBytes;
  }

  /// The next piece; data is cut to `dataBytesMax` and, so that requests stay aligned, at multiples
  /// of it.
  Optional<Piece> next(int dataBytesMax) {
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

  /// How far the server's answers reach.
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
