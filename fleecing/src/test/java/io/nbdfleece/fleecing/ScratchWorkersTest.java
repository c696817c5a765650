// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import io.nbdfleece.cache.TieredStore;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Reads of a scratch disk that hangs keep nobody from his disk.
@Timeout(60)
final class ScratchWorkersTest {
  private static final int THREADS = 2;

  @Test
  void aScratchDiskThatHangsHoldsNoGuestUp(@TempDir Path directory) throws Exception {
    List<Executor> ofScratch = new ArrayList<>();
    CountDownLatch hangs = new CountDownLatch(1);
    CountDownLatch busy = new CountDownLatch(THREADS);
    EngineConfig config =
        new EngineConfig(EngineRig.GRANULE, 4 << 20, directory, 16 << 20, THREADS);
    try (EngineRig rig =
        new EngineRig(
            directory,
            false,
            EngineRig.SIZE,
            config,
            (storeConfig, workers) -> {
              ofScratch.add(workers);
              return TieredStore.open(storeConfig, workers);
            },
            "vda")) {
      for (int i = 0; i < 10 * THREADS; i++) {
        ofScratch
            .getFirst()
            .execute(
                () -> {
                  busy.countDown();
                  awaitUninterruptibly(hangs);
                });
      }
      busy.await();
      try {
        EngineRig.Done flushed = new EngineRig.Done();
        rig.disk("vda").top().flush(flushed);
        var _ = EngineRig.get(flushed.future);
      } finally {
        hangs.countDown();
      }
    }
  }

  private static void awaitUninterruptibly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError("nobody interrupts workers", e);
    }
  }
}
