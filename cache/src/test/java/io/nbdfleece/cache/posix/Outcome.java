// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cache.posix;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cache.Completion;
import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// Records what a [Completion] was told, and that it was told once.
public final class Outcome implements Completion {
  private final CountDownLatch told = new CountDownLatch(1);
  private final AtomicInteger times = new AtomicInteger();
  private volatile @Nullable IOException error;

  @Override
  public void succeeded() {
    assertEquals(1, times.incrementAndGet(), "completed twice");
    told.countDown();
  }

  @Override
  public void failed(IOException failure) {
    assertEquals(1, times.incrementAndGet(), "completed twice");
    error = failure;
    told.countDown();
  }

  public boolean isDone() {
    return told.getCount() == 0;
  }

  /// Waits for the end and throws what went wrong.
  public void await() throws IOException {
    try {
      assertTrue(told.await(30, TimeUnit.SECONDS), "not completed");
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    IOException failure = error;
    if (failure != null) {
      throw failure;
    }
  }
}
