// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.nio.ByteBuffer;

/// Room for one cluster. Its use changes under the store's lock only.
final class Slot implements ClusterStore.RamSlot {
  private final ByteBuffer buffer;
  private Use use = Use.FREE;

  /// Being filled for a spare copy. Under the store's lock only.
  boolean forSpare;

  Slot(ByteBuffer buffer) {
    this.buffer = buffer;
  }

  @Override
  public ByteBuffer buffer() {
    return buffer;
  }

  /// @throws IllegalStateException if a caller gives a slot back that is not its own
  void move(Use from, Use to) {
    if (use != from) {
      throw new IllegalStateException("slot: " + use + " (expected: " + from + ")");
    }
    use = to;
  }

  enum Use {
    FREE,
    /// A caller has it, between acquire and commit or abandon.
    FILLING,
    /// It holds an entry.
    HELD
  }
}
