// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.ClusterStore.RamSlot;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// Records the answer to an acquire, and that there is one.
final class SlotOutcome implements ClusterStore.SlotCompletion {
  private final CountDownLatch told = new CountDownLatch(1);
  private volatile Optional<RamSlot> slot = Optional.empty();
  private volatile Optional<IOException> error = Optional.empty();

  @Override
  public void acquired(RamSlot given) {
    assertFalse(isDone(), "told twice");
    slot = Optional.of(given);
    told.countDown();
  }

  @Override
  public void failed(IOException failure) {
    assertFalse(isDone(), "told twice");
    error = Optional.of(failure);
    told.countDown();
  }

  boolean isDone() {
    return told.getCount() == 0;
  }

  /// The slot, when it was given.
  RamSlot slot() throws IOException {
    try {
      assertTrue(told.await(60, TimeUnit.SECONDS), "not told");
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    if (error.isPresent()) {
      throw error.get();
    }
    return slot.orElseThrow();
  }
}
