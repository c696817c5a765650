// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class StateTickTest {
  private static void await(CountDownLatch latch) {
    try {
      assertTrue(latch.await(30, TimeUnit.SECONDS));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }

  @Test
  void stateThatHangsDoesNotKeepTheOthersFromTicking(@TempDir Path directory) throws IOException {
    CountDownLatch hangs = new CountDownLatch(1);
    CountDownLatch goesOn = new CountDownLatch(1);
    CountDownLatch others = new CountDownLatch(2);
    try (EngineRig rig = new EngineRig(directory, true, "vda", "vdb")) {
      rig.states.stored("vda").onTick =
          () -> {
            hangs.countDown();
            await(goesOn);
          };
      await(hangs);
      rig.states.stored("vdb").onTick = others::countDown;
      try {
        await(others);
      } finally {
        goesOn.countDown();
      }
    }
  }
}
