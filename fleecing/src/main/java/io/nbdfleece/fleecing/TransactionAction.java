// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.fleecing.bitmap.BitmapRef;
import java.util.List;
import java.util.OptionalInt;

/// One step of a transaction. Either all steps of a transaction happen, at one instant, or none.
/// Each sees what those before it did.
public sealed interface TransactionAction {

  /// Adds a bitmap, empty.
  ///
  /// @param granularityBytes 64 KiB when absent
  record AddBitmap(
      BitmapRef bitmap, OptionalInt granularityBytes, boolean persistent, boolean disabled)
      implements TransactionAction {}

  record RemoveBitmap(BitmapRef bitmap) implements TransactionAction {}

  record ClearBitmap(BitmapRef bitmap) implements TransactionAction {}

  record EnableBitmap(BitmapRef bitmap) implements TransactionAction {}

  record DisableBitmap(BitmapRef bitmap) implements TransactionAction {}

  /// Adds what is dirty in the sources to the target. They may be of other disks of the same size
  /// and of other granularities.
  record MergeBitmaps(BitmapRef target, List<BitmapRef> sources) implements TransactionAction {}

  /// Marks ranges as dirty: changes that were made elsewhere.
  record MarkDirty(BitmapRef bitmap, List<Range> ranges) implements TransactionAction {}

  /// Forgets a checkpoint: what was written since it belongs to the one before it from then on.
  record DeleteCheckpoint(String disk, String checkpoint) implements TransactionAction {}

  /// Takes a snapshot; at most one in a transaction.
  record TakeSnapshot(SnapshotRequest request) implements TransactionAction {}

  /// Fails, for tests of clients.
  record Abort() implements TransactionAction {}

  /// Bytes of a disk.
  record Range(long offsetBytes, long lengthBytes) {}
}
