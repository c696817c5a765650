// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import java.io.IOException;

/// The end of reading a pinned entry back into RAM.
final class ReadBack implements Completion {
  private final TieredStore store;
  private final int entry;
  private final Slot slot;
  private final Completion done;

  ReadBack(TieredStore store, int entry, Slot slot, Completion done) {
    this.store = store;
    this.entry = entry;
    this.slot = slot;
    this.done = done;
  }

  @Override
  public void succeeded() {
    store.restored(entry, slot);
    store.unpin(entry);
    done.succeeded();
  }

  @Override
  public void failed(IOException error) {
    store.abandon(slot);
    store.unpin(entry);
    done.failed(error);
  }
}
