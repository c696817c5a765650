// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.lang.foreign.MemorySegment;
import java.util.List;

/// One operation of the background task: on the disk tier's file, or on the memory of slots.
sealed interface SpillWork {

  /// Copies of neighbouring entries, in order, go to their places on disk.
  record Write(List<RamCopy> copies) implements SpillWork {}

  /// The space of `count` entries from `first` on is given back.
  record Punch(int first, int count) implements SpillWork {}

  /// Memory of slots is touched ahead of its use.
  record Touch(MemorySegment memory) implements SpillWork {}
}
