// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

/// One operation on the disk tier's file.
sealed interface SpillWork {

  /// A copy goes to its place on disk.
  record Write(RamCopy copy) implements SpillWork {}

  /// The space of `count` entries from `first` on is given back.
  record Punch(int first, int count) implements SpillWork {}
}
