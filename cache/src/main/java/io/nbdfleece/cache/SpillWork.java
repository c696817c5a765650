// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.lang.foreign.MemorySegment;

/// One operation of the background task: on the disk tier's file, or on the memory of slots.
sealed interface SpillWork {

  /// A copy goes to its place on disk.
  record Write(RamCopy copy) implements SpillWork {}

  /// The space of `count` entries from `first` on is given back.
  record Punch(int first, int count) implements SpillWork {}

  /// Memory of slots is touched ahead of its use.
  record Touch(MemorySegment memory) implements SpillWork {}
}
